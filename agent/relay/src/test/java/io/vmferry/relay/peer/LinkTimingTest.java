// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.peer;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.Random;
import java.util.concurrent.TimeUnit;
import java.util.random.RandomGenerator;
import org.assertj.core.data.Offset;
import org.junit.jupiter.api.Test;

class LinkTimingTest {
  private static final long MS = TimeUnit.MILLISECONDS.toNanos(1);

  private final RttEstimate rtt = new RttEstimate();

  @Test
  void delaysDoubleUpToFiveSeconds() {
    BackOff backOff = new BackOff(always(1 - 1e-12));
    long[] expected = {100, 200, 400, 800, 1600, 3200, 5000, 5000};
    for (long millis : expected) {
      assertThat(backOff.nextNanos()).isCloseTo(millis * MS, within(MS));
    }
  }

  @Test
  void jitterTakesUpToHalf() {
    assertThat(new BackOff(always(0)).nextNanos()).isEqualTo(50 * MS);
    BackOff backOff = new BackOff(new Random(3));
    for (int i = 0; i < 100; i++) {
      assertThat(backOff.nextNanos()).isBetween(50 * MS, 5000 * MS);
    }
  }

  @Test
  void onlyAStableConnectionResetsTheDelay() {
    BackOff backOff = new BackOff(always(0));
    long first = backOff.nextNanos();
    long second = backOff.nextNanos();
    backOff.connectionStood(BackOff.STABLE_NANOS - 1);
    assertThat(backOff.nextNanos()).isGreaterThan(second);
    backOff.connectionStood(BackOff.STABLE_NANOS);
    assertThat(backOff.nextNanos()).isEqualTo(first);
  }

  @Test
  void roundTripIsUnknownAtFirstThenTheFirstSample() {
    assertThat(rtt.roundTrip().least()).isZero();
    rtt.sample(0, 20 * MS);
    assertThat(rtt.roundTrip().least()).isEqualTo(20 * MS);
  }

  @Test
  void slowPingsDontCountWhileAFastOneIsRecent() {
    rtt.sample(0, 20 * MS);
    for (int second = 1; second <= 10; second++) {
      rtt.sample(TimeUnit.SECONDS.toNanos(second), 500 * MS);
    }
    assertThat(rtt.roundTrip().least()).isEqualTo(20 * MS);
  }

  @Test
  void slowerPathIsBelievedAfterTheWindow() {
    rtt.sample(0, 20 * MS);
    for (int second = 1; second <= 40; second++) {
      rtt.sample(TimeUnit.SECONDS.toNanos(second), 100 * MS);
    }
    assertThat(rtt.roundTrip().least()).isCloseTo(100 * MS, within(MS));
  }

  @Test
  void fasterPathIsTakenOverSmoothly() {
    rtt.sample(0, 100 * MS);
    rtt.sample(1, 20 * MS);
    assertThat(rtt.roundTrip().least()).isEqualTo(80 * MS);
  }

  @Test
  void thePresentRoundTripIsTheMedianOfThree() {
    rtt.sample(0, 20 * MS);
    rtt.sample(1, 300 * MS);
    assertThat(rtt.roundTrip().present()).as("a ping that was lost").isEqualTo(20 * MS);
    rtt.sample(2, 40 * MS);
    assertThat(rtt.roundTrip().present()).isEqualTo(40 * MS);
    rtt.sample(3, 50 * MS);
    assertThat(rtt.roundTrip().present()).isEqualTo(50 * MS);
    assertThat(rtt.roundTrip().least()).isEqualTo(20 * MS);
  }

  private static Offset<Long> within(long nanos) {
    return Offset.offset(nanos);
  }

  /** A generator whose every number in [0, 1) is {@code value}. */
  private static RandomGenerator always(double value) {
    return new RandomGenerator() {
      @Override
      public long nextLong() {
        return 0;
      }

      @Override
      public double nextDouble() {
        return value;
      }
    };
  }
}
