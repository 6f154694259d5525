// SPDX-License-Identifier: Apache-2.0
package io.vmferry.cli.text;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import net.jqwik.api.constraints.LongRange;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class ProgressTest {
  @ParameterizedTest
  @CsvSource(
      delimiter = ';',
      value = {
        "0;[>         ]",
        "1;[>         ]",
        "50;[=====>    ]",
        "99;[=========>]",
        "100;[==========]"
      })
  void bars(long done, String bar) {
    assertThat(Progress.bar(done, 100, 10)).isEqualTo(bar);
  }

  @ParameterizedTest
  @CsvSource({
    "0,1000,0.0 %",
    "421,1000,42.1 %",
    "999,1000,99.9 %",
    "9999,10000,99.9 %",
    "1000,1000,100.0 %",
    "9223372036854775806,9223372036854775807,99.9 %",
    "1001,1000,100.0 %",
  })
  void percentages(long done, long total, String text) {
    assertThat(Progress.percent(done, total)).isEqualTo(text);
  }

  @Property
  void onlyAllOfItIsAllOfIt(
      @ForAll @LongRange(min = 0) long done,
      @ForAll @LongRange(min = 1) long total,
      @ForAll @IntRange(min = 1, max = 200) int width) {
    String bar = Progress.bar(done, total, width);
    assertThat(bar).hasSize(width + 2);
    assertThat(bar.equals("[" + "=".repeat(width) + "]")).isEqualTo(done >= total);
    assertThat(Progress.percent(done, total).equals("100.0 %")).isEqualTo(done >= total);
  }

  @Test
  void nothingHasNoProgress() {
    assertThatThrownBy(() -> Progress.percent(0, 0)).isInstanceOf(IllegalArgumentException.class);
  }

  @ParameterizedTest
  @CsvSource({
    "0,0:00",
    "7,0:07",
    "723,12:03",
    "3599,59:59",
    "11100,3:05:00",
    "172799,47:59:59",
    "172800,2 d 0 h",
    "446400,5 d 4 h",
  })
  void times(long seconds, String text) {
    assertThat(Progress.time(seconds)).isEqualTo(text);
  }

  @Test
  void anUnknownTimeIsADash() {
    assertThat(Progress.time(null)).isEqualTo("-");
  }
}
