// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.store;

import java.io.IOException;
import java.util.List;

/** Finds the data and the holes of a file. Blocks. */
final class Extents {

  /** Extents of one look, 128 KiB of objects. */
  static final int MAX_EXTENTS = 4096;

  /** A range of the file that is all data or all hole. */
  record Extent(long offset, long length, boolean hole) {}

  private Extents() {}

  /**
   * Adds the extents between two offsets to {@code found}, in order and without gaps.
   *
   * @param most extents that are added at most
   */
  static void find(PosixFile file, long from, long end, int most, List<Extent> found)
      throws IOException {
    long at = from;
    while (at < end && found.size() < most) {
      long data = Math.min(end, file.seekData(at));
      if (data > at) {
        found.add(new Extent(at, data - at, true));
        at = data;
      } else {
        long hole = Math.min(end, file.seekHole(at));
        if (hole > at) {
          found.add(new Extent(at, hole - at, false));
          at = hole;
        }
      }
    }
  }
}
