// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.peer;

import java.util.ArrayDeque;
import java.util.Deque;
import java.util.concurrent.TimeUnit;

/**
 * Round trip of one connection: the smoothed minimum of recent pings. The minimum, because queues
 * and busy processes only ever add; smoothed, so that a changed path doesn't make the window of the
 * copy engine jump. Confined to the event loop, except {@link #nanos}.
 */
final class RttEstimate {

  /** How long a sample counts: about ten pings; a slower path is believed after this time. */
  static final long WINDOW_NANOS = TimeUnit.SECONDS.toNanos(10);

  /** Share of the difference that each sample takes over: the reciprocal. */
  private static final int SMOOTHING = 4;

  private record Sample(long takenAt, long nanos) {}

  private final Deque<Sample> window = new ArrayDeque<>();
  private volatile long nanos;

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
    long last = nanos;
    nanos = last == 0 ? minimum : last + (minimum - last) / SMOOTHING;
  }

  /** Estimate in nanoseconds; 0 before the first sample. Any thread. */
  long nanos() {
    return nanos;
  }
}
