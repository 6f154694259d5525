// SPDX-License-Identifier: Apache-2.0
package io.vmferry.nbd.client;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class NbdUriTest {

  @Test
  void readsEachForm() {
    assertThat(NbdUri.parse("nbd://host")).isEqualTo(new NbdUri("host", 10809, null, false, ""));
    assertThat(NbdUri.parse("nbd://host:7/a/b%20c"))
        .isEqualTo(new NbdUri("host", 7, null, false, "a/b c"));
    assertThat(NbdUri.parse("nbds://[::1]:7/x")).isEqualTo(new NbdUri("::1", 7, null, true, "x"));
    assertThat(NbdUri.parse("nbd+unix:///disk?socket=/run/a%20b"))
        .isEqualTo(new NbdUri(null, 0, "/run/a b", false, "disk"));
    assertThat(NbdUri.parse("nbd+unix://?socket=/s").export()).isEmpty();
  }

  @Test
  void namesTheServer() {
    assertThat(NbdUri.parse("nbd://host/x").server()).isEqualTo("host:10809");
    assertThat(NbdUri.parse("nbd://[::1]/x").server()).isEqualTo("[::1]:10809");
    assertThat(NbdUri.parse("nbd+unix:///x?socket=/s").server()).isEqualTo("/s");
  }

  @ParameterizedTest
  @CsvSource({
    "host/x, must begin with",
    "http://host/x, must begin with",
    "nbd:host, must begin with",
    "nbd:///x, names no host",
    "nbd://user@host/x, user name",
    "nbd://host/x?tls-certificates=/etc, what follows the ?",
    "nbd://host:0/x, port 0",
    "nbd://host:70000/x, port 70000",
    "nbd://host/x#y, write %23",
    "nbd://host/%00, no NUL",
    "nbd+unix:///x, the socket is missing",
    "nbd+unix:///x?socket=relative, absolute path",
    "nbd+unix:///x?socket=/s&more=1, what follows the &",
    "nbd+unix://host/x?socket=/s, has no host",
    "nbds+unix:///x?socket=/s, no host name to check",
    "nbd://ho st/x, not an NBD URI"
  })
  void refusesTheRestWithTheReason(String uri, String reason) {
    assertThatThrownBy(() -> NbdUri.parse(uri))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageStartingWith("'" + uri + "' is not an NBD URI: ")
        .hasMessageContaining(reason);
  }
}
