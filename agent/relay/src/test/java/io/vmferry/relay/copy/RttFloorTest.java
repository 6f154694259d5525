// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.copy;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;

final class RttFloorTest {
  private static final long SECOND = 1_000_000_000;

  private final RttFloor floor = new RttFloor();

  @Test
  void isUnknownUntilMeasuredAndKeptWhileTheLinkIsDown() {
    assertThat(floor.nanos(SECOND, 0)).isZero();
    assertThat(floor.draining(100 * SECOND)).isFalse();
    assertThat(floor.nanos(SECOND, 20)).isEqualTo(20);
    assertThat(floor.nanos(2 * SECOND, 0)).isEqualTo(20);
  }

  @Test
  void aShorterOneCountsAtOnceAndALongerOneNotForAWhile() {
    floor.nanos(0, 20);
    assertThat(floor.nanos(SECOND, 10)).isEqualTo(10);
    assertThat(floor.nanos(29 * SECOND, 40)).isEqualTo(10);
    assertThat(floor.draining(29 * SECOND)).isFalse();
  }

  @Test
  void emptiesTheQueueWhenItIsOldAndThenBelievesTheSmallestItSaw() {
    floor.nanos(SECOND, 10);
    for (long second = 2; second <= 31; second++) {
      assertThat(floor.nanos(second * SECOND, 40)).isEqualTo(10);
      assertThat(floor.draining(second * SECOND)).isFalse();
    }
    assertThat(floor.draining(32 * SECOND)).isTrue();
    assertThat(floor.draining(33 * SECOND)).isFalse();
    floor.nanos(35 * SECOND, 15);
    floor.nanos(37 * SECOND, 40);
    assertThat(floor.nanos(43 * SECOND, 40)).isEqualTo(10);
    assertThat(floor.nanos(44 * SECOND, 40)).isEqualTo(15);
    assertThat(floor.draining(45 * SECOND)).isFalse();
  }

  @Test
  void seeingItAgainMakesItYoung() {
    floor.nanos(SECOND, 10);
    floor.nanos(25 * SECOND, 10);
    floor.nanos(32 * SECOND, 40);
    assertThat(floor.draining(32 * SECOND)).isFalse();
  }
}
