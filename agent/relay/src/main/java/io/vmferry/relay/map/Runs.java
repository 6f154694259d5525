// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.map;

import java.util.Objects;

/** Walks a map by runs: ranges of neighbouring blocks that are all set or all clear. */
public final class Runs {

  private Runs() {}

  /** Receives runs. */
  @FunctionalInterface
  public interface Visitor {
    /**
     * The next run, in ascending order; {@code from < to}. The map may be changed inside the run.
     *
     * @return false to stop
     */
    boolean run(long from, long to);
  }

  /**
   * Visits the maximal runs of the range, cut at its borders.
   *
   * @param set true: runs of set blocks; false: runs of clear blocks
   * @return false if the visitor stopped
   */
  public static boolean forEach(BlockMap map, long from, long to, boolean set, Visitor visitor) {
    Objects.checkFromToIndex(from, to, map.blocks());
    long start = next(map, from, set);
    while (start < to) {
      long end = Math.min(to, next(map, start, !set));
      if (!visitor.run(start, end)) {
        return false;
      }
      start = next(map, end, set);
    }
    return true;
  }

  private static long next(BlockMap map, long from, boolean set) {
    return set ? map.nextSet(from) : map.nextClear(from);
  }
}
