// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.exec;

import static org.assertj.core.api.Assertions.assertThat;

import io.netty.channel.SelectStrategy;
import org.junit.jupiter.api.Test;

final class BriefPollingTest {
  /** Nanoseconds of one look. */
  private static final long LOOK = 1_000;

  private long now;
  private int looks;
  private int readyAt = Integer.MAX_VALUE;
  private final BriefPolling polling = new BriefPolling(() -> now);

  private int look() {
    now += LOOK;
    looks++;
    return looks >= readyAt ? 2 : 0;
  }

  private int next(boolean hasTasks) throws Exception {
    looks = 0;
    return polling.calculateStrategy(this::look, hasTasks);
  }

  @Test
  void whatComesInTheMomentIsFoundWithoutSleeping() throws Exception {
    readyAt = 20;
    for (int i = 0; i < 100; i++) {
      assertThat(next(false)).isEqualTo(2);
      assertThat(looks).isEqualTo(20);
    }
  }

  @Test
  void itSleepsAfterTheMoment() throws Exception {
    assertThat(next(false)).isEqualTo(SelectStrategy.SELECT);
    assertThat(now).isBetween(BriefPolling.MOMENT, BriefPolling.MOMENT + LOOK);
  }

  @Test
  void anIdleLoopHardlyLooks() throws Exception {
    for (int i = 0; i < 100_000; i++) {
      assertThat(next(false)).isEqualTo(SelectStrategy.SELECT);
    }
    assertThat(now / BriefPolling.MOMENT).isLessThan(10 + 100_000 / BriefPolling.MOST_LEFT_OUT + 1);
  }

  @Test
  void oneSuccessMakesUpForAllFailures() throws Exception {
    for (int i = 0; i < 5000; i++) {
      next(false);
    }
    readyAt = 1;
    int slept = 0;
    while (next(false) == SelectStrategy.SELECT) {
      slept++;
    }
    assertThat(slept).isLessThanOrEqualTo(BriefPolling.MOST_LEFT_OUT);
    assertThat(next(false)).isEqualTo(2);
    readyAt = Integer.MAX_VALUE;
    next(false);
    next(false);
    assertThat(looks).as("the first failure leaves out one").isZero();
    next(false);
    assertThat(looks).isPositive();
  }

  @Test
  void tasksDoNotWait() throws Exception {
    assertThat(next(true)).isZero();
    assertThat(looks).isEqualTo(1);
  }
}
