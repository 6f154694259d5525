// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.control;

import static org.assertj.core.api.Assertions.assertThat;

import io.vmferry.relay.sim.VirtualTime;
import java.time.Duration;
import java.util.UUID;
import org.junit.jupiter.api.Test;

final class TakeoverWaitsTest {
  private static final UUID VOLUME = new UUID(1, 1);

  private final VirtualTime time = new VirtualTime();
  private final TakeoverWaits waits = new TakeoverWaits(time.new NodeLoop());

  @Test
  void theFirstRequestThatWaitsCounts() {
    waits.wanted(VOLUME);
    time.run(Duration.ofMillis(40));
    waits.wanted(VOLUME);
    time.run(Duration.ofMillis(60));
    waits.changed(VOLUME, true);
    assertThat(waits.measured().count()).isEqualTo(1);
    assertThat(waits.measured().sumSeconds()).isEqualTo(0.1);
  }

  @Test
  void aReplicaThatDidNotBecomeOwnerOrThatNobodyWaitedForIsNone() {
    waits.wanted(VOLUME);
    waits.changed(VOLUME, false);
    waits.changed(VOLUME, true);
    assertThat(waits.measured().count()).isZero();
  }
}
