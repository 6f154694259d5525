// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.map;

import java.util.Arrays;

/**
 * A block map on the heap. Uniform chunks have no array, so a map that is all set or all clear
 * takes about 10 bytes for each 128 MiB of volume; at worst a map takes one bit per block.
 */
public final class HeapBlockMap extends ChunkedBlockMap {

  /** Bits of the mixed chunks; null where the chunk is uniform. */
  private final long[][] chunks;

  private HeapBlockMap(long blocks) {
    super(blocks);
    chunks = new long[chunksFor(blocks)][];
  }

  /**
   * A map without any block.
   *
   * @param blocks 0 to 2^32 (16 TiB)
   */
  public static HeapBlockMap allClear(long blocks) {
    return new HeapBlockMap(blocks);
  }

  /**
   * A map with every block.
   *
   * @param blocks 0 to 2^32 (16 TiB)
   */
  public static HeapBlockMap allSet(long blocks) {
    HeapBlockMap map = new HeapBlockMap(blocks);
    map.set(0, blocks);
    return map;
  }

  /** An independent copy with the same blocks. */
  public static HeapBlockMap copyOf(BlockMap source) {
    HeapBlockMap copy = new HeapBlockMap(source.blocks());
    if (source instanceof ChunkedBlockMap chunked) {
      for (int chunk = 0; chunk < copy.chunks(); chunk++) {
        if (!chunked.isUniform(chunk)) {
          long[] words = new long[CHUNK_WORDS];
          chunked.copyWords(chunk, words);
          copy.chunks[chunk] = words;
        }
        copy.countIs(chunk, chunked.countOf(chunk));
      }
    } else {
      Runs.forEach(
          source,
          0,
          source.blocks(),
          true,
          (from, to) -> {
            copy.set(from, to);
            return true;
          });
    }
    return copy;
  }

  /** Takes over the bits of one chunk of a fresh map; those past the end must be clear. */
  void adopt(int chunk, long[] words) {
    int count = 0;
    for (long word : words) {
      count += Long.bitCount(word);
    }
    countIs(chunk, count);
    chunks[chunk] = isUniform(chunk) ? null : words;
  }

  @Override
  long word(int chunk, int index) {
    return chunks[chunk][index];
  }

  @Override
  void store(int chunk, int index, long word) {
    chunks[chunk][index] = word;
  }

  @Override
  void mix(int chunk, boolean wasSet) {
    long[] words = new long[CHUNK_WORDS];
    if (wasSet) {
      Arrays.fill(words, -1L);
    }
    chunks[chunk] = words;
  }

  @Override
  void fill(int chunk, boolean set) {
    chunks[chunk] = null;
  }

  @Override
  void settle(int chunk) {
    chunks[chunk] = null;
  }

  /** Nothing to release. */
  @Override
  public void close() {}
}
