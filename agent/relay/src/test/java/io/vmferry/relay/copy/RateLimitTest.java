// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.copy;

import static org.assertj.core.api.Assertions.assertThat;

import java.time.Duration;
import org.junit.jupiter.api.Test;

final class RateLimitTest {
  private static final long SECOND = 1_000_000_000;

  @Test
  void withoutACapNothingWaits() {
    RateLimit limit = new RateLimit(null, 0);
    assertThat(limit.take(Long.MAX_VALUE, 0)).isZero();
    assertThat(limit.get()).isNull();
  }

  @Test
  void aRequestLargerThanTheCapMovesAndThenWaitsItsTime() {
    RateLimit limit = new RateLimit(1000L, 0);
    assertThat(limit.take(5000, 0)).isZero();
    Duration wait = limit.take(1, 0);
    assertThat(wait).isBetween(Duration.ofMillis(4999), Duration.ofMillis(5001));
    assertThat(limit.take(1, wait.toNanos())).isZero();
  }

  @Test
  void theCapHoldsOverTime() {
    RateLimit limit = new RateLimit(10_000L, 0);
    long taken = 0;
    long now = 0;
    while (now < 10 * SECOND) {
      Duration wait = limit.take(500, now);
      if (wait.isZero()) {
        taken += 500;
      } else {
        now += wait.toNanos();
      }
    }
    assertThat(taken).isBetween(99_000L, 102_000L);
  }

  @Test
  void aPauseSavesUpNoMoreThanAShortBurst() {
    RateLimit limit = new RateLimit(10_000L, 0);
    limit.take(1, 0);
    long now = 3600 * SECOND;
    long taken = 0;
    while (limit.take(100, now).isZero()) {
      taken += 100;
    }
    assertThat(taken).isBetween(1000L, 1100L);
  }

  @Test
  void aNewCapForgetsTheDebtOfTheOld() {
    RateLimit limit = new RateLimit(10L, 0);
    limit.take(1_000_000, 0);
    limit.set(1_000_000L);
    assertThat(limit.take(1, 0)).isZero();
  }
}
