// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.copy;

import static org.assertj.core.api.Assertions.assertThat;

import java.time.Duration;
import org.junit.jupiter.api.Test;

final class ReserveTest {
  private static final long FLOOR = 100;

  private final Reserve reserve = new Reserve();
  private long now;

  private void look(Duration time, boolean full, long present) {
    long end = now + time.toNanos();
    for (; now < end; now += Duration.ofMillis(10).toNanos()) {
      reserve.look(now, full, FLOOR, present);
    }
  }

  @Test
  void isSmallOnALinkThatShowsItAsAQueue() {
    look(Duration.ofSeconds(60), true, FLOOR * 3 / 2);
    assertThat(reserve.part()).isEqualTo(Reserve.LEAST);
  }

  @Test
  void growsAsLongAsThereIsHardlyAQueue() {
    look(Reserve.SETTLED, true, FLOOR);
    assertThat(reserve.part()).as("pings are of before").isEqualTo(Reserve.LEAST);
    look(Reserve.INTERVAL, true, FLOOR);
    assertThat(reserve.part()).isEqualTo(Reserve.LEAST + Reserve.UP);
    look(Duration.ofSeconds(60), true, FLOOR);
    assertThat(reserve.part()).isEqualTo(Reserve.MOST);
  }

  @Test
  void staysWhereTheQueueIsShortAndShrinksWhereItIsLong() {
    look(Duration.ofSeconds(60), true, FLOOR);
    look(Duration.ofSeconds(60), true, FLOOR * 14 / 10);
    assertThat(reserve.part()).isEqualTo(Reserve.MOST);
    look(Reserve.INTERVAL, true, FLOOR * 16 / 10);
    assertThat(reserve.part()).isEqualTo(Reserve.MOST - Reserve.DOWN);
    look(Duration.ofSeconds(60), true, FLOOR * 16 / 10);
    assertThat(reserve.part()).isEqualTo(Reserve.LEAST);
  }

  @Test
  void aCopyThatYieldsOnlyLearnsOfALongQueue() {
    look(Duration.ofSeconds(60), false, FLOOR);
    assertThat(reserve.part()).isEqualTo(Reserve.LEAST);
    look(Duration.ofSeconds(60), true, FLOOR);
    look(Duration.ofSeconds(60), false, FLOOR * 3);
    assertThat(reserve.part()).isEqualTo(Reserve.LEAST);
  }

  @Test
  void pingsOfAnotherTimeDoNotCount() {
    look(Duration.ofSeconds(60), true, FLOOR);
    look(Reserve.SETTLED, false, FLOOR * 3);
    assertThat(reserve.part()).isEqualTo(Reserve.MOST);
    reserve.forget();
    assertThat(reserve.part()).isEqualTo(Reserve.LEAST);
  }

  @Test
  void isNotChangedWithoutPings() {
    for (; now < Duration.ofSeconds(60).toNanos(); now += Duration.ofMillis(10).toNanos()) {
      reserve.look(now, true, FLOOR, 0);
    }
    assertThat(reserve.part()).isEqualTo(Reserve.LEAST);
  }
}
