// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.map;

/**
 * A set of 4 KiB blocks of one volume. Not thread-safe: a volume's maps belong to its event loop.
 *
 * <p>Ranges are half open, {@code [from, to)}, with {@code 0 <= from <= to <= blocks()}; anything
 * else throws IndexOutOfBoundsException. Cost is proportional to the parts that are neither all set
 * nor all clear, so an untouched 1 TiB volume costs next to nothing.
 */
public interface BlockMap extends AutoCloseable {

  /** Number of blocks of the volume. */
  long blocks();

  boolean get(long block);

  /** Sets the range; returns how many blocks were not set before. */
  long set(long from, long to);

  /** Clears the range; returns how many blocks were set before. */
  long clear(long from, long to);

  /** Number of set blocks; constant time. */
  long cardinality();

  /** First set block at or after {@code from}, or {@code blocks()} if there is none. */
  long nextSet(long from);

  /** First clear block at or after {@code from}, or {@code blocks()} if there is none. */
  long nextClear(long from);

  /** Whether all blocks of the range are set. */
  default boolean allSet(long from, long to) {
    return nextClear(from) >= to;
  }

  /** Number of set blocks in the range. */
  long count(long from, long to);

  @Override
  void close();
}
