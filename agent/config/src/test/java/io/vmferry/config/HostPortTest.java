// SPDX-License-Identifier: Apache-2.0
package io.vmferry.config;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class HostPortTest {
  @ParameterizedTest
  @CsvSource({
    "192.0.2.7:7820,192.0.2.7,7820",
    "host-a.example.net:1,host-a.example.net,1",
    "[2001:db8::7]:65535,2001:db8::7,65535",
  })
  void readsAndPrints(String text, String host, int port) {
    assertThat(HostPort.parse(text)).isEqualTo(new HostPort(host, port)).hasToString(text);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "",
        "host",
        ":7820",
        "host:",
        "host:0",
        "host:65536",
        "host:-1",
        "2001:db8::7:7820",
        "[]:1",
        "a b:1"
      })
  void refuses(String text) {
    assertThatThrownBy(() -> HostPort.parse(text)).isInstanceOf(IllegalArgumentException.class);
  }
}
