// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.copy;

import java.time.Duration;

/**
 * The round trip of a link without the queue that the copy itself makes. While a copy keeps the
 * link full every ping stands in that queue; a window sized by such a round trip makes the queue
 * longer still. So the smallest one is remembered, and when it has become old the copy pauses its
 * queue for a moment, so that pings see the bare link again. Loop only.
 */
final class RttFloor {
  /** How long a round trip counts that was not seen again. */
  static final Duration MEMORY = Duration.ofSeconds(30);

  /** Length of the pause: some ping of each second has its whole way in it. */
  static final Duration DRAIN = Duration.ofMillis(1500);

  /** From the begin of the pause until the link's own estimate has taken in what it saw. */
  static final Duration RELEARN = Duration.ofSeconds(12);

  private long floor;
  private long seenAt;
  private long candidate = Long.MAX_VALUE;

  /**
   * The round trip in nanoseconds; 0 if none was ever measured.
   *
   * @param now monotonic time
   * @param measured the link's present estimate, 0 if it has none
   */
  long nanos(long now, long measured) {
    if (measured == 0) {
      return floor;
    }
    long age = now - seenAt;
    if (floor == 0 || measured <= floor) {
      learn(now, measured);
    } else if (age > MEMORY.plus(RELEARN).toNanos()) {
      // Nobody asked for so long that no candidate was seen, or the way has become longer.
      learn(now, Math.min(measured, candidate));
    } else if (age > MEMORY.toNanos()) {
      candidate = Math.min(candidate, measured);
    }
    return floor;
  }

  /** Whether the queue is to be emptied now. */
  boolean draining(long now) {
    long age = now - seenAt;
    return floor != 0 && age > MEMORY.toNanos() && age < MEMORY.plus(DRAIN).toNanos();
  }

  private void learn(long now, long nanos) {
    floor = nanos;
    seenAt = now;
    candidate = Long.MAX_VALUE;
  }
}
