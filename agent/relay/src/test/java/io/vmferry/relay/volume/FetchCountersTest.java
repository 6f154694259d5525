// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.volume;

import static org.assertj.core.api.Assertions.assertThat;

import io.vmferry.relay.sim.VirtualTime;
import java.time.Duration;
import org.junit.jupiter.api.Test;

final class FetchCountersTest {
  private final VirtualTime time = new VirtualTime();
  private final FetchCounters counters = new FetchCounters(time.new NodeLoop());

  @Test
  void sumsByKind() {
    counters.demand(1);
    counters.background(2);
    counters.holes(4);
    counters.overwritten(8);
    assertThat(counters.demand()).isEqualTo(1);
    assertThat(counters.background()).isEqualTo(2);
    assertThat(counters.holes()).isEqualTo(4);
    assertThat(counters.overwritten()).isEqualTo(8);
  }

  @Test
  void theRateIsOfTheLastSecondsOverTheWireOnly() {
    for (int i = 0; i < 100; i++) {
      counters.background(1000);
      counters.holes(1_000_000);
      time.run(Duration.ofMillis(100));
    }
    assertThat(counters.rate()).isBetween(8_000L, 10_000L);
  }

  @Test
  void theRateFallsToZeroWhenNothingComes() {
    counters.demand(1 << 20);
    time.run(Duration.ofSeconds(2));
    assertThat(counters.rate()).isPositive();
    time.run(Duration.ofSeconds(10));
    assertThat(counters.rate()).isZero();
  }
}
