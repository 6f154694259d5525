// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.volume;

import io.vmferry.relay.copy.BlockSource;
import io.vmferry.relay.copy.Origin;

/**
 * The holes of a volume at another node, from its beginning to its end, one answer after the other:
 * a volume is mostly holes, so they are asked for as a list, not block by block. Loop only.
 */
final class HoleSearch {
  /** What comes of it. */
  interface Host {
    /** The range has no data. */
    void hole(long offset, long length);

    /** One answer is over; null as error if it was good. The search goes on only when told to. */
    void answered(Exception error);
  }

  private final long size;
  private final Host host;
  private long next;
  private boolean asking;

  /**
   * For one volume.
   *
   * @param size bytes
   */
  HoleSearch(long size, Host host) {
    this.size = size;
    this.host = host;
  }

  /** Whether all holes are known. */
  boolean isOver() {
    return next == size;
  }

  /** What was found doesn't count any more. */
  void restart() {
    next = 0;
  }

  /** Asks for the next ones, unless all are known or an answer is on its way. */
  void goOn(BlockSource source) {
    if (asking || isOver()) {
      return;
    }
    asking = true;
    source.holes(
        next,
        size,
        new Origin.HoleSink() {
          @Override
          public void hole(long at, long length) {
            host.hole(at, length);
          }

          @Override
          public void end(long end, Exception error) {
            asking = false;
            if (error == null) {
              next = end;
            }
            host.answered(error);
          }
        });
  }
}
