// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.peer;

import java.util.concurrent.TimeUnit;
import java.util.random.RandomGenerator;

/** Delays between attempts to connect: exponential, with jitter. Confined to the event loop. */
public final class BackOff {

  /** First delay: a relay that restarts is back in about this time. */
  static final long MIN_NANOS = TimeUnit.MILLISECONDS.toNanos(100);

  /** Longest delay: what a guest waits at most after the link has come back. */
  static final long MAX_NANOS = TimeUnit.SECONDS.toNanos(5);

  /** A connection that stood this long was good: the next delay is the first one again. */
  static final long STABLE_NANOS = TimeUnit.SECONDS.toNanos(10);

  private final RandomGenerator random;
  private long ceiling = MIN_NANOS;

  public BackOff(RandomGenerator random) {
    this.random = random;
  }

  /** Next delay in nanoseconds: between half of the ceiling and the ceiling, which then doubles. */
  public long nextNanos() {
    long delay = ceiling / 2 + (long) (random.nextDouble() * ceiling / 2);
    ceiling = Math.min(MAX_NANOS, ceiling * 2);
    return delay;
  }

  /** A connection was lost that had stood for {@code nanos}. */
  public void connectionStood(long nanos) {
    if (nanos >= STABLE_NANOS) {
      reset();
    }
  }

  /** The next delay is the first one again. */
  public void reset() {
    ceiling = MIN_NANOS;
  }
}
