// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.map;

import java.util.Objects;

/**
 * The two-level arithmetic that all maps share: a count of set blocks per chunk above the bits.
 *
 * <p>A chunk whose count is zero or full is uniform: its bits are never looked at, so a subclass
 * need not have any. Only the others, the mixed chunks, cost memory and time.
 */
abstract sealed class ChunkedBlockMap implements BlockMap permits HeapBlockMap, MappedBlockMap {

  /** Blocks per chunk as a power of two: 32768 blocks, 128 MiB of volume, 4 KiB of bits. */
  static final int CHUNK_SHIFT = 15;

  static final int CHUNK_BLOCKS = 1 << CHUNK_SHIFT;
  static final int CHUNK_WORDS = CHUNK_BLOCKS / Long.SIZE;
  static final int CHUNK_BYTES = CHUNK_BLOCKS / Byte.SIZE;

  /** 16 TiB in blocks of 4 KiB; keeps the bits (512 MiB) inside one mapping and one array index. */
  static final long MAX_BLOCKS = 1L << 32;

  private final long blocks;

  /** Set blocks per chunk; 0 to 32768 fits the 16 bits of a char. */
  private final char[] counts;

  private long cardinality;

  ChunkedBlockMap(long blocks) {
    if (blocks < 0 || blocks > MAX_BLOCKS) {
      throw new IllegalArgumentException(
          "A map of " + blocks + " blocks is not possible; the limit is " + MAX_BLOCKS);
    }
    this.blocks = blocks;
    this.counts = new char[chunksFor(blocks)];
  }

  static int chunksFor(long blocks) {
    return (int) ((blocks + CHUNK_BLOCKS - 1) >>> CHUNK_SHIFT);
  }

  /** One word of a mixed chunk. Bits past the end of the map are undefined. */
  abstract long word(int chunk, int index);

  /** Replaces one word of a mixed chunk. */
  abstract void store(int chunk, int index, long word);

  /**
   * A uniform chunk is about to become mixed: provide its bits. May throw, then nothing changed.
   */
  abstract void mix(int chunk, boolean wasSet);

  /** All blocks of a chunk become set or clear. May throw, then nothing changed. */
  abstract void fill(int chunk, boolean set);

  /** A mixed chunk became uniform by single stores: its bits may be dropped. */
  abstract void settle(int chunk);

  /** States the count of a chunk whose bits a subclass has brought along. */
  final void countIs(int chunk, int count) {
    cardinality += count - counts[chunk];
    counts[chunk] = (char) count;
  }

  final int chunks() {
    return counts.length;
  }

  /** Blocks in a chunk; only the last one may have less than {@link #CHUNK_BLOCKS}. */
  final int sizeOf(int chunk) {
    return (int) Math.min(CHUNK_BLOCKS, blocks - ((long) chunk << CHUNK_SHIFT));
  }

  final int countOf(int chunk) {
    return counts[chunk];
  }

  final boolean isUniform(int chunk) {
    return counts[chunk] == 0 || counts[chunk] == sizeOf(chunk);
  }

  /** Copies a mixed chunk's bits; those past the end of the map are clear in the copy. */
  final void copyWords(int chunk, long[] target) {
    int size = sizeOf(chunk);
    for (int i = 0; i < CHUNK_WORDS; i++) {
      int left = size - i * Long.SIZE;
      long valid = left >= Long.SIZE ? -1L : left <= 0 ? 0 : (1L << left) - 1;
      target[i] = valid == 0 ? 0 : word(chunk, i) & valid;
    }
  }

  @Override
  public final long blocks() {
    return blocks;
  }

  @Override
  public final long cardinality() {
    return cardinality;
  }

  @Override
  public final boolean get(long block) {
    Objects.checkIndex(block, blocks);
    int chunk = (int) (block >>> CHUNK_SHIFT);
    int count = counts[chunk];
    if (count == 0) {
      return false;
    }
    if (count == sizeOf(chunk)) {
      return true;
    }
    int inChunk = (int) block & (CHUNK_BLOCKS - 1);
    return (word(chunk, inChunk / Long.SIZE) & (1L << inChunk)) != 0;
  }

  @Override
  public final long set(long from, long to) {
    return change(from, to, true);
  }

  @Override
  public final long clear(long from, long to) {
    return change(from, to, false);
  }

  @Override
  public final long nextSet(long from) {
    return next(from, true);
  }

  @Override
  public final long nextClear(long from) {
    return next(from, false);
  }

  @Override
  public final long count(long from, long to) {
    Objects.checkFromToIndex(from, to, blocks);
    long sum = 0;
    long at = from;
    while (at < to) {
      int chunk = (int) (at >>> CHUNK_SHIFT);
      long start = (long) chunk << CHUNK_SHIFT;
      int end = (int) Math.min(to - start, sizeOf(chunk));
      sum += countInChunk(chunk, (int) (at - start), end);
      at = start + end;
    }
    return sum;
  }

  private int countInChunk(int chunk, int from, int to) {
    int count = counts[chunk];
    int size = sizeOf(chunk);
    if (count == 0 || to - from == size) {
      return count;
    }
    if (count == size) {
      return to - from;
    }
    int sum = 0;
    for (int i = from / Long.SIZE; i * Long.SIZE < to; i++) {
      sum += Long.bitCount(word(chunk, i) & mask(i, from, to));
    }
    return sum;
  }

  final long change(long from, long to, boolean value) {
    Objects.checkFromToIndex(from, to, blocks);
    long changed = 0;
    long at = from;
    while (at < to) {
      int chunk = (int) (at >>> CHUNK_SHIFT);
      long start = (long) chunk << CHUNK_SHIFT;
      int end = (int) Math.min(to - start, sizeOf(chunk));
      changed += changeInChunk(chunk, (int) (at - start), end, value);
      at = start + end;
    }
    return changed;
  }

  private int changeInChunk(int chunk, int from, int to, boolean value) {
    int size = sizeOf(chunk);
    int before = counts[chunk];
    int wanted = value ? size : 0;
    if (before == wanted) {
      return 0;
    }
    int changed;
    if (to - from == size) {
      fill(chunk, value);
      changed = Math.abs(wanted - before);
      countIs(chunk, wanted);
      return changed;
    }
    if (isUniform(chunk)) {
      mix(chunk, before == size);
    }
    changed = changeWords(chunk, from, to, value);
    countIs(chunk, value ? before + changed : before - changed);
    if (counts[chunk] == wanted) {
      settle(chunk);
    }
    return changed;
  }

  private int changeWords(int chunk, int from, int to, boolean value) {
    int changed = 0;
    for (int i = from / Long.SIZE; i * Long.SIZE < to; i++) {
      long mask = mask(i, from, to);
      long before = word(chunk, i);
      long after = value ? before | mask : before & ~mask;
      if (after != before) {
        store(chunk, i, after);
        changed += Long.bitCount(before ^ after);
      }
    }
    return changed;
  }

  private long next(long from, boolean value) {
    if (from < 0 || from > blocks) {
      throw new IndexOutOfBoundsException("Block " + from + " of a map of " + blocks);
    }
    long at = from;
    while (at < blocks) {
      int chunk = (int) (at >>> CHUNK_SHIFT);
      long start = (long) chunk << CHUNK_SHIFT;
      int size = sizeOf(chunk);
      int matching = value ? counts[chunk] : size - counts[chunk];
      if (matching == size) {
        return at;
      }
      if (matching > 0) {
        int found = nextInChunk(chunk, (int) (at - start), size, value);
        if (found < size) {
          return start + found;
        }
      }
      at = start + size;
    }
    return blocks;
  }

  /** Position of the next matching bit, or {@code size} or more if there is none. */
  private int nextInChunk(int chunk, int from, int size, boolean value) {
    long outside = -1L << from;
    for (int i = from / Long.SIZE; i * Long.SIZE < size; i++) {
      long word = value ? word(chunk, i) : ~word(chunk, i);
      word &= outside;
      if (word != 0) {
        return i * Long.SIZE + Long.numberOfTrailingZeros(word);
      }
      outside = -1L;
    }
    return size;
  }

  /** The bits of word {@code index} that lie in the chunk's range {@code [from, to)}. */
  private static long mask(int index, int from, int to) {
    int base = index * Long.SIZE;
    long mask = -1L;
    if (from > base) {
      mask <<= from - base;
    }
    if (to - base < Long.SIZE) {
      mask &= (1L << (to - base)) - 1;
    }
    return mask;
  }
}
