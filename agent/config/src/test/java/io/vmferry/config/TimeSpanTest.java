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
  @CsvSource({"20 s,PT20S", "1s,PT1S", "5 min,PT5M", "2h,PT2H", "999999999 h,PT999999999H"})
  void reads(String text, Duration span) {
    assertThat(TimeSpan.parse(text)).isEqualTo(span);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {"", "20", "0 s", "-1 s", "1.5 s", "20 ms", "20  s", "1 d", "off", "1000000000 s"})
  void refuses(String text) {
    assertThatThrownBy(() -> TimeSpan.parse(text))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage(
            "'%s' is not a time; allowed: a time such as 20 s, 5 min or 1 h, at least 1 s", text);
  }

  @Test
  void mayBeOff() {
    assertThat(TimeSpan.parseOrOff("off")).isEmpty();
    assertThat(TimeSpan.parseOrOff("1 min")).contains(Duration.ofMinutes(1));
    assertThatThrownBy(() -> TimeSpan.parseOrOff("never")).hasMessageEndingWith(", or off");
  }
}
