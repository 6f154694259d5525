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

class ByteSizeTest {
  @ParameterizedTest
  @CsvSource({
    "0,0",
    "4096,4096",
    "4096 B,4096",
    "10G,10737418240",
    "10GiB,10737418240",
    "10 GiB,10737418240",
    "1.5K,1536",
    "1 M,1048576",
    "2T,2199023255552",
    "1P,1125899906842624",
    "9223372036854775807,9223372036854775807",
  })
  void reads(String text, long bytes) {
    assertThat(ByteSize.parse(text)).isEqualTo(new ByteSize(bytes));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "",
        " ",
        "G",
        "-1",
        "+1",
        "1,5G",
        "1 GB",
        "1g",
        "10 G iB",
        "10G ",
        " 10G",
        "0x10",
        "1e3",
        "1.G",
        "1.0000001K",
        "9223372036854775808",
        "8192P",
        "99999999999999999999"
      })
  void refuses(String text) {
    assertThatThrownBy(() -> ByteSize.parse(text))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("'" + text + "' is not a");
  }

  @Test
  void isNeverNegative() {
    assertThatThrownBy(() -> new ByteSize(-1)).isInstanceOf(IllegalArgumentException.class);
  }

  @Property
  void whatIsPrintedIsRead(@ForAll @LongRange(min = 0) long bytes) {
    ByteSize size = new ByteSize(bytes);
    assertThat(ByteSize.parse(size.toString())).isEqualTo(size);
  }

  @Property
  void wholeUnitsArePrintedAsSuch(
      @ForAll @LongRange(min = 1, max = 1023) long amount,
      @ForAll @LongRange(min = 0, max = 5) long unit) {
    String name = new String[] {"B", "KiB", "MiB", "GiB", "TiB", "PiB"}[(int) unit];
    assertThat(new ByteSize(amount << (10 * unit))).hasToString(amount + " " + name);
  }

  @Property
  void approximationsAreShortAndCloseEnough(@ForAll @LongRange(min = 1) long bytes) {
    String[] parts = new ByteSize(bytes).approximate().split(" ", -1);
    assertThat(parts[0].length()).isLessThanOrEqualTo(4);
    double unit = Math.pow(1024, "B KiB MiB GiB TiB PiB EiB".split(" ").length - 1);
    int index = java.util.List.of("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB").indexOf(parts[1]);
    assertThat(index).isNotNegative();
    assertThat(Math.pow(1024, index)).isLessThanOrEqualTo(unit);
    double shown = Double.parseDouble(parts[0]) * Math.pow(1024, index);
    assertThat(Math.abs(shown - bytes)).isLessThanOrEqualTo(bytes * 0.006);
  }

  @ParameterizedTest
  @CsvSource({
    "0,0 B",
    "999,999 B",
    "1000,0.98 KiB",
    "1024,1.00 KiB",
    "10230,9.99 KiB",
    "10239,10.0 KiB",
    "102348,99.9 KiB",
    "102399,100 KiB",
    "1023487,999 KiB",
    "1023693,0.98 MiB",
    "10737418240,10.0 GiB",
    "9223372036854775807,8.00 EiB",
  })
  void approximates(long bytes, String text) {
    assertThat(new ByteSize(bytes).approximate()).isEqualTo(text);
  }

  @Test
  void comparesByAmount() {
    assertThat(new ByteSize(1)).isLessThan(new ByteSize(2));
  }
}
