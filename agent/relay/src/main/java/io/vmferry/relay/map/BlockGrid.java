// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.map;

/**
 * The grid of 4 KiB blocks over a volume. The last block of a volume whose size is no multiple of 4
 * KiB is short, and counts as covered when everything up to the volume's end is.
 *
 * @param size bytes of the volume
 */
public record BlockGrid(long size) {
  /** Bytes of a block: the unit of maps and of on-demand fetching. */
  public static final int BLOCK = 4096;

  /** Number of blocks. */
  public long blocks() {
    return blockAfter(size);
  }

  /** The block that holds byte {@code offset}. */
  public static long blockAt(long offset) {
    return offset / BLOCK;
  }

  /** First block that starts at or after {@code offset}. */
  public static long blockAfter(long offset) {
    return offset / BLOCK + (offset % BLOCK == 0 ? 0 : 1);
  }

  /** Byte offset of a block; the volume's size for the block after the last. */
  public long offsetOf(long block) {
    return Math.min(block * BLOCK, size);
  }

  /** Bytes of the blocks {@code [from, to)}. */
  public long bytes(long from, long to) {
    return offsetOf(to) - offsetOf(from);
  }

  /** First block that {@code [offset, ...)} covers from its beginning. */
  public long firstCovered(long offset) {
    return blockAfter(offset);
  }

  /** End of the blocks that {@code [..., end)} covers to their end. */
  public long endCovered(long end) {
    return end == size ? blocks() : blockAt(end);
  }
}
