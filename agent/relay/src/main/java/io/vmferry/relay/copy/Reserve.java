// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.copy;

import java.time.Duration;

/**
 * How much more the copy asks for than the link has under way at its best rate, as a part of that.
 *
 * <p>A link that loses nothing is full with a small reserve, which stands as a queue before it. On
 * one that loses packets answers wait for those that are sent again; no queue builds up, and the
 * small reserve leaves the link idle. So the reserve grows while pings see hardly a queue, and
 * shrinks while they see a long one; FAST TCP sizes its window in this way. Loop only.
 */
final class Reserve {
  /** Enough for a link that loses nothing; the queue is as long, and a router can hold twice it. */
  static final double LEAST = 0.5;

  /** A packet that is lost twice costs two round trips more. */
  static final double MOST = 2.5;

  /** Of one change to more: a link that loses packets is idle until it was found out. */
  static final double UP = 1;

  /** Of one change to less. */
  static final double DOWN = 0.5;

  /** Hardly a queue, in round trips. */
  private static final double SHORT = 0.125;

  /** From one change to the next: until a ping, one a second, has seen the last one. */
  static final Duration INTERVAL = Duration.ofSeconds(1);

  /** From the height of the copy to the first change: two of three pings must have seen it. */
  static final Duration SETTLED = Duration.ofSeconds(2);

  private double reserve = LEAST;
  private boolean atHeight;
  private long next;

  /** As a part of what is under way. */
  double part() {
    return reserve;
  }

  /** The link is an unknown one. */
  void forget() {
    reserve = LEAST;
    atHeight = false;
  }

  /**
   * Changes the reserve if it is time to.
   *
   * @param now monotonic time in nanoseconds
   * @param atHeight whether the copy asks for all that it may; if not, no queue says nothing
   * @param floor round trip without the copy's queue, in nanoseconds
   * @param present round trip as pings see it; 0 if unknown
   */
  void look(long now, boolean atHeight, long floor, long present) {
    if (atHeight != this.atHeight) {
      this.atHeight = atHeight;
      next = now + SETTLED.toNanos();
    }
    if (present == 0 || now - next < 0) {
      return;
    }
    next = now + INTERVAL.toNanos();
    double queue = (double) (present - floor) / floor;
    if (queue > LEAST) {
      reserve = Math.max(LEAST, reserve - DOWN);
    } else if (atHeight && queue < SHORT) {
      reserve = Math.min(MOST, reserve + UP);
    }
  }
}
