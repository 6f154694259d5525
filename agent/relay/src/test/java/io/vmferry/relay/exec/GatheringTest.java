// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.exec;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.Random;
import java.util.concurrent.TimeUnit;
import java.util.function.LongSupplier;
import org.junit.jupiter.api.Test;

final class GatheringTest {
  private static final long SECOND = TimeUnit.SECONDS.toNanos(1);

  private final Gathering gathering = new Gathering();
  private long now = 5 * SECOND;
  private long requests;
  private long gathered;
  private boolean wanted;

  /** Lets guests make requests, so many a second, without gathering and with it. */
  private void run(long nanos, long without, long with) {
    for (long end = now + nanos; now < end; ) {
      long step = SECOND / (wanted ? with : without);
      now += step;
      requests++;
      wanted = gathering.wanted(now, requests);
      if (wanted) {
        gathered += step;
      }
    }
  }

  /** The same for some seconds; returns the share of the time in which it gathered. */
  private double share(int seconds, long without, long with) {
    gathered = 0;
    run(seconds * SECOND, without, with);
    return (double) gathered / (seconds * SECOND);
  }

  /** The share of the time in which it gathered; {@code takes}: nanoseconds of the next request. */
  private double share(int count, LongSupplier takes) {
    long began = now;
    for (int i = 0; i < count; i++) {
      wanted = gathering.wanted(now, requests);
      long taken = takes.getAsLong();
      requests++;
      now += taken;
      gathered += wanted ? taken : 0;
    }
    return (double) gathered / (now - began);
  }

  @Test
  void itGathersWhereThatBringsMore() {
    run(SECOND, 100_000, 120_000);
    assertThat(share(4, 100_000, 120_000)).isGreaterThan(0.98);
  }

  @Test
  void itIsHardlyTriedWhereThatBringsLess() {
    run(SECOND, 100_000, 70_000);
    assertThat(share(4, 100_000, 70_000)).isBetween(0.001, 0.02);
  }

  @Test
  void aLittleMoreMayBeChance() {
    run(SECOND, 100_000, 103_000);
    assertThat(share(4, 100_000, 103_000)).isLessThan(0.02);
  }

  @Test
  void requestsThatTakeMoreOrLessTimeByChanceDoNotDecide() {
    Random random = new Random(1);
    assertThat(share(400_000, () -> 25_000L + random.nextInt(50_000))).isLessThan(0.02);
  }

  @Test
  void itChangesItsMindWithTheGuest() {
    run(SECOND, 100_000, 120_000);
    run(2 * SECOND, 100_000, 70_000);
    assertThat(share(4, 100_000, 70_000)).isLessThan(0.02);
    run(2 * SECOND, 100_000, 120_000);
    assertThat(share(4, 100_000, 120_000)).isGreaterThan(0.98);
  }

  /** As when code has been compiled, in the first seconds of a process. */
  @Test
  void aLoopThatBecomesFasterInATrialDecidesNothing() {
    for (int calls = 0; !wanted && calls < 10_000; calls++) {
      run(SECOND / 20_000, 20_000, 14_000);
    }
    assertThat(wanted).isTrue();
    assertThat(share(1, 40_000, 28_000)).isLessThan(0.1);
  }

  @Test
  void somethingElseThatTakesTheProcessorDoesNotDecide() {
    Random random = new Random(1);
    LongSupplier takes =
        () -> (wanted ? 43_000 : 25_000) + (random.nextInt(4_000) == 0 ? 30_000_000L : 0);
    assertThat(share(1_000_000, takes)).isLessThan(0.03);
  }

  @Test
  void aPauseInATrialDoesNotDecideForLong() {
    run(SECOND / 200, 100_000, 120_000);
    now += 100 * SECOND;
    run(15 * SECOND, 100_000, 120_000);
    assertThat(share(4, 100_000, 120_000)).isGreaterThan(0.98);
  }

  @Test
  void fewRequestsNeverWait() {
    run(SECOND, 100_000, 120_000);
    assertThat(wanted).isTrue();
    run(SECOND, 8_000, 8_000);
    assertThat(share(4, 8_000, 8_000)).isZero();
  }

  @Test
  void aTrialThatMakesThemFewIsNotRepeatedAtOnce() {
    run(SECOND, 11_000, 9_000);
    assertThat(share(20, 11_000, 9_000)).isBetween(0.001, 0.02);
  }

  @Test
  void aRequestAfterAPauseDoesNotWait() {
    run(SECOND, 100_000, 120_000);
    assertThat(wanted).isTrue();
    now += SECOND;
    requests++;
    assertThat(gathering.wanted(now, requests)).isFalse();
  }
}
