// SPDX-License-Identifier: Apache-2.0
package io.vmferry.config;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.time.Duration;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class TimeSpanTest {
  @ParameterizedTest
  @CsvSource({"0,0", "0s,0", "90s,90", "30 min,1800", "12 h,43200", "7d,604800"})
  void readsANumberAndAUnit(String text, long seconds) {
    assertThat(TimeSpan.parse(text)).isEqualTo(Duration.ofSeconds(seconds));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "",
        "3",
        "1.5h",
        "-1s",
        "7 days",
        "1w",
        "s",
        "00",
        "1h30min",
        "30m",
        "20 ms",
        "20  s",
        "9999999999d"
      })
  void refusesAllElse(String text) {
    assertThatThrownBy(() -> TimeSpan.parse(text))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("'" + text + "'")
        .hasMessageContaining("such as 20 s, 12 h or 7 d");
  }

  @Test
  void theLongestIsNoOverflow() {
    assertThat(TimeSpan.parse("999999999d").toDays()).isEqualTo(999_999_999);
  }
}
