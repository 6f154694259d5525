// SPDX-License-Identifier: Apache-2.0
package io.vmferry.nbd.client;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.Random;
import org.junit.jupiter.api.Test;

class CoverageTest {

  @Test
  void partsInAnyOrderMakeAWhole() {
    Coverage coverage = new Coverage();
    assertThat(coverage.add(8, 12)).isNull();
    assertThat(coverage.add(0, 4)).isNull();
    assertThat(coverage.isWhole(12)).isFalse();
    assertThat(coverage.add(4, 8)).isNull();
    assertThat(coverage.isWhole(12)).isTrue();
    assertThat(coverage.isWhole(13)).isFalse();
  }

  @Test
  void saysTheSameAsATableOfBytes() {
    Random random = new Random(9);
    for (int run = 0; run < 2_000; run++) {
      Coverage coverage = new Coverage();
      boolean[] bytes = new boolean[40];
      for (int i = 0; i < 12; i++) {
        int from = random.nextInt(40);
        int to = from + 1 + random.nextInt(40 - from);
        boolean overlaps = false;
        for (int at = from; at < to; at++) {
          overlaps |= bytes[at];
        }
        assertThat(coverage.add(from, to) != null).isEqualTo(overlaps);
        if (overlaps) {
          break;
        }
        boolean whole = true;
        for (int at = 0; at < 40; at++) {
          bytes[at] |= at >= from && at < to;
          whole &= bytes[at];
        }
        assertThat(coverage.isWhole(40)).isEqualTo(whole);
      }
    }
  }

  @Test
  void tooManyScatteredPartsAreRefused() {
    Coverage coverage = new Coverage();
    for (int i = 0; i < Coverage.MAX_PARTS; i++) {
      assertThat(coverage.add(2 * i, 2 * i + 1)).isNull();
    }
    assertThat(coverage.add(1 << 20, (1 << 20) + 1)).contains("scattered");
  }
}
