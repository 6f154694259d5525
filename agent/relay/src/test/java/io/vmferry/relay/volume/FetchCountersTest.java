// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.volume;

import static org.assertj.core.api.Assertions.assertThat;

import io.vmferry.api.VolumeStatus;
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
    counters.wire(16);
    assertThat(counters.status("b", true, 0, 3))
        .isEqualTo(new VolumeStatus.FetchStatus("b", true, 1, 2, 4, 8, 16, 0, 0L, 3));
  }

  @Test
  void theRateIsOfTheLastSecondsOverTheWireOnly() {
    for (int i = 0; i < 100; i++) {
      counters.background(1000);
      counters.holes(1_000_000);
      time.run(Duration.ofMillis(100));
    }
    assertThat(rate()).isBetween(8_000L, 10_000L);
  }

  @Test
  void theRateFallsToZeroWhenNothingComes() {
    counters.demand(1 << 20);
    time.run(Duration.ofSeconds(2));
    assertThat(rate()).isPositive();
    time.run(Duration.ofSeconds(10));
    assertThat(rate()).isZero();
  }

  @Test
  void theTimeLeftIsUnknownWhileNothingComes() {
    assertThat(counters.status("b", true, 1, 0).etaSeconds()).isNull();
    assertThat(counters.status("b", true, 0, 0).etaSeconds()).isZero();
    counters.background(4000);
    time.run(Duration.ofSeconds(1));
    VolumeStatus.FetchStatus status = counters.status("b", true, 10_000, 0);
    assertThat(status.etaSeconds()).isEqualTo(10_000 / status.rate());
  }

  private long rate() {
    return counters.status("b", true, 0, 0).rate();
  }
}
