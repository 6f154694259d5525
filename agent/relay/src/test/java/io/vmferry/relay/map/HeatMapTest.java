// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.map;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;

final class HeatMapTest {
  private static final int REGION = 1 << HeatRanks.MIN_REGION_SHIFT;
  private static final int TICK = 1 << 10;

  private static void touchOften(HeatMap heat, long region, int times) {
    for (int i = 0; i < times; i++) {
      heat.touch(region * REGION, 1);
    }
  }

  @Test
  void nothingWasUsedAtFirst() {
    assertThat(new HeatMap(10L * REGION + 1).ranks().ranks())
        .hasSize(11)
        .containsOnly(HeatRanks.NEVER);
  }

  @Test
  void ranksByLastUse() {
    HeatMap heat = new HeatMap(5L * REGION);
    touchOften(heat, 3, 1);
    touchOften(heat, 1, 8 * TICK);
    touchOften(heat, 0, 2 * TICK);
    touchOften(heat, 4, TICK / 2);
    byte[] ranks = heat.ranks().ranks();
    assertThat(ranks[4]).isZero();
    assertThat(ranks[0]).isGreaterThan((byte) -1).isLessThan(ranks[1]);
    assertThat(ranks[1]).isLessThan(ranks[3]);
    assertThat(ranks[3]).isLessThan(HeatRanks.NEVER);
    assertThat(ranks[2]).isEqualTo(HeatRanks.NEVER);
  }

  @Test
  void aRequestTouchesAllItsRegionsAndNoOther() {
    HeatMap heat = new HeatMap(6L * REGION);
    heat.touch(2L * REGION - 1, REGION + 1);
    assertThat(heat.ranks().ranks()).containsExactly(63, 0, 0, 63, 63, 63);
    heat.touch(4L * REGION, REGION);
    assertThat(heat.ranks().ranks()).containsExactly(63, 0, 0, 63, 0, 63);
  }

  @Test
  void aLargeVolumeHasLargerRegionsAndNoMoreOfThem() {
    long size = Long.MAX_VALUE / 4;
    HeatMap heat = new HeatMap(size);
    heat.touch(size - 1, 1);
    HeatRanks ranks = heat.ranks();
    assertThat(ranks.ranks()).hasSizeBetween(HeatRanks.MAX_REGIONS / 2, HeatRanks.MAX_REGIONS);
    assertThat(ranks.ranks()[ranks.ranks().length - 1]).isZero();
  }

  @Test
  void eachRankIsTwiceAsOld() {
    assertThat(HeatRanks.ofAge(0)).isZero();
    assertThat(HeatRanks.ofAge(1)).isEqualTo((byte) 1);
    assertThat(HeatRanks.ofAge(3)).isEqualTo((byte) 2);
    assertThat(HeatRanks.ofAge(4)).isEqualTo((byte) 3);
    assertThat(HeatRanks.ofAge(-1)).as("after a wrap").isEqualTo(HeatRanks.OLDEST);
  }

  @Test
  void coldestFirstIsTheOtherWayRound() {
    byte[] ranks = {0, 3, HeatRanks.OLDEST, HeatRanks.NEVER};
    assertThat(new HeatRanks(18, ranks).coldestFirst().ranks())
        .containsExactly(HeatRanks.OLDEST, (byte) (HeatRanks.OLDEST - 3), (byte) 0, (byte) 0);
  }
}
