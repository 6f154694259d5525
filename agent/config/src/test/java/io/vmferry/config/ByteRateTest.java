// SPDX-License-Identifier: Apache-2.0
package io.vmferry.config;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.LongRange;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class ByteRateTest {
  @ParameterizedTest
  @CsvSource({
    "50 MiB/s,52428800",
    "50M/s,52428800",
    "1 B/s,1",
    "400 Mbit/s,50000000",
    "1Gbit/s,125000000",
    "0.1 kbit/s,12",
  })
  void reads(String text, long bytesPerSecond) {
    assertThat(ByteRate.parse(text)).isEqualTo(new ByteRate(bytesPerSecond));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "",
        "/s",
        "50",
        "50 MiB",
        "50 MiB / s",
        "50 MB/s",
        "0 MiB/s",
        "0.001 kbit/s",
        "none",
        "400 mbit/s",
        "400 Mb/s",
        "9999999999999999999 Gbit/s"
      })
  void refuses(String text) {
    assertThatThrownBy(() -> ByteRate.parse(text))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageStartingWith("'" + text + "' is not a rate; allowed: ");
  }

  @Property
  void whatIsPrintedIsRead(@ForAll @LongRange(min = 1) long bytesPerSecond) {
    ByteRate rate = new ByteRate(bytesPerSecond);
    assertThat(ByteRate.parse(rate.toString())).isEqualTo(rate);
  }

  @Test
  void aLimitMayBeNone() {
    assertThat(ByteRate.parseLimit("none")).isEmpty();
    assertThat(ByteRate.parseLimit("1 KiB/s")).contains(new ByteRate(1024));
  }

  @Test
  void isNeverZero() {
    assertThatThrownBy(() -> new ByteRate(0)).isInstanceOf(IllegalArgumentException.class);
  }

  @Test
  void approximates() {
    assertThat(new ByteRate(50_000_000).approximate()).isEqualTo("47.7 MiB/s");
  }
}
