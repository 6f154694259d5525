// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.exec;

import static org.assertj.core.api.Assertions.assertThat;

import io.netty.channel.SelectStrategy;
import org.junit.jupiter.api.Test;

final class BriefPollingTest {
  /** Nanoseconds of one look. */
  private static final long LOOK = 1_000;

  /** Nanoseconds between two looks at the clock. */
  private static final long TICK = 20;

  private long now;
  private int looks;
  private int readyAt = Integer.MAX_VALUE;
  private final RequestCount requests = new RequestCount();
  private final BriefPolling polling = new BriefPolling(() -> now += TICK, requests);

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
    assertThat(now).isBetween(BriefPolling.MOMENT, BriefPolling.MOMENT + 2 * LOOK);
  }

  @Test
  void anIdleLoopHardlyLooks() throws Exception {
    for (int i = 0; i < 100_000; i++) {
      assertThat(next(false)).isEqualTo(SelectStrategy.SELECT);
    }
    assertThat(now / BriefPolling.MOMENT).isLessThan(15 + 100_000 / BriefPolling.MOST_LEFT_OUT + 1);
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

  @Test
  void aBusyLoopLetsRequestsGatherAsLongAsThatBringsMore() throws Exception {
    readyAt = 1;
    long waits = 0;
    for (int i = 0; i < 100_000; i++) {
      long began = now;
      next(false);
      boolean waited = now - began >= Gathering.MOMENT;
      waits += waited ? 1 : 0;
      // Alone a request costs 5 µs; of those that were waited for come six, for 3 µs each.
      for (int request = 0; request < (waited ? 6 : 1); request++) {
        requests.add();
        now += waited ? 3_000 : 5_000;
      }
    }
    assertThat(waits).isGreaterThan(90_000);
  }

  @Test
  void aGuestThatWaitsForEachAnswerHardlyEverWaitsForOthers() throws Exception {
    readyAt = 1;
    long waits = 0;
    for (int i = 0; i < 100_000; i++) {
      long began = now;
      next(false);
      waits += now - began >= Gathering.MOMENT ? 1 : 0;
      requests.add();
      now += 20_000;
    }
    assertThat(waits).isBetween(1L, 3_000L);
  }
}
