// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.copy;

import java.time.Duration;

/**
 * The operator's cap on the background copy, shared by all volumes and peers of a relay; changeable
 * at any time. A token bucket. Loop only.
 */
public final class RateLimit {
  /** How much may be sent in one go after a pause: short, so that the cap holds over any second. */
  private static final Duration BURST = Duration.ofMillis(100);

  private static final double NANOS_PER_SECOND = Duration.ofSeconds(1).toNanos();

  private Long bytesPerSecond;
  private double tokens;
  private long refilledAt;

  /**
   * A cap from {@code now} on.
   *
   * @param bytesPerSecond null for no cap
   */
  public RateLimit(Long bytesPerSecond, long now) {
    this.bytesPerSecond = bytesPerSecond;
    this.refilledAt = now;
  }

  /** Bytes per second, or null for no cap. */
  public Long get() {
    return bytesPerSecond;
  }

  /** Changes the cap; null for none. */
  public void set(Long newBytesPerSecond) {
    bytesPerSecond = newBytesPerSecond;
    tokens = 0;
  }

  /**
   * Takes {@code bytes} if the cap allows them now: the bucket may go into debt by one request, so
   * that a cap below the request size still moves.
   *
   * @return zero if taken, otherwise how long to wait before asking again
   */
  Duration take(long bytes, long now) {
    if (bytesPerSecond == null) {
      return Duration.ZERO;
    }
    double burst = bytesPerSecond * BURST.toNanos() / NANOS_PER_SECOND;
    tokens = Math.min(burst, tokens + (now - refilledAt) * bytesPerSecond / NANOS_PER_SECOND);
    refilledAt = now;
    if (tokens < 0) {
      return Duration.ofNanos((long) (-tokens / bytesPerSecond * NANOS_PER_SECOND) + 1);
    }
    tokens -= bytes;
    return Duration.ZERO;
  }

  /** So many of the bytes taken did not travel after all; less than 0 if there were more. */
  void giveBack(long bytes) {
    if (bytesPerSecond != null) {
      tokens += bytes;
    }
  }
}
