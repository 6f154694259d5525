// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.peer;

import java.util.ArrayDeque;
import java.util.Arrays;
import java.util.Deque;
import java.util.concurrent.TimeUnit;

/**
 * Round trip of one connection. The least one is the smoothed minimum of recent pings: the minimum,
 * because queues and busy processes only ever add; smoothed, so that a changed path doesn't make
 * the window of the copy engine jump. The present one is the median of the last three, since a ping
 * that was lost and sent again says nothing of the queue. Confined to the event loop, except {@link
 * #roundTrip}.
 */
final class RttEstimate {

  /** How long a sample counts: about ten pings; a slower path is believed after this time. */
  static final long WINDOW_NANOS = TimeUnit.SECONDS.toNanos(10);

  /** Share of the difference that each sample takes over: the reciprocal. */
  private static final int SMOOTHING = 4;

  private record Sample(long takenAt, long nanos) {}

  private final Deque<Sample> window = new ArrayDeque<>();

  /** The last measurements, in turn. */
  private final long[] last = new long[3];

  private int next;
  private volatile RoundTrip roundTrip = RoundTrip.UNKNOWN;

  /** Takes one measured round trip; {@code now} is the monotonic clock. */
  void sample(long now, long measured) {
    // A sample that is no smaller than a newer one can never be the minimum again.
    while (!window.isEmpty() && window.peekLast().nanos() >= measured) {
      window.removeLast();
    }
    window.addLast(new Sample(now, measured));
    while (now - window.peekFirst().takenAt() > WINDOW_NANOS) {
      window.removeFirst();
    }
    long minimum = window.peekFirst().nanos();
    long before = roundTrip.least();
    long least = before == 0 ? minimum : before + (minimum - before) / SMOOTHING;
    if (before == 0) {
      Arrays.fill(last, measured);
    }
    last[next] = measured;
    next = (next + 1) % last.length;
    roundTrip = new RoundTrip(least, median(last[0], last[1], last[2]));
  }

  /** Any thread. */
  RoundTrip roundTrip() {
    return roundTrip;
  }

  private static long median(long a, long b, long c) {
    return Math.max(Math.min(a, b), Math.min(Math.max(a, b), c));
  }
}
