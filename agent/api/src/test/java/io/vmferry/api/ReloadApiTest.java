// SPDX-License-Identifier: Apache-2.0
package io.vmferry.api;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.util.List;
import org.junit.jupiter.api.Test;

class ReloadApiTest {
  @Test
  void tellsWhatBecameOfTheFile() {
    Reloaded reloaded = new Reloaded(List.of("log.level: debug"), List.of("listen"));
    assertThat(new ReloadApi(() -> reloaded).reload()).isEqualTo(reloaded);
  }

  @Test
  void aFileThatCantBeAppliedIsRefused() {
    ReloadApi api =
        new ReloadApi(
            () -> {
              throw new IOException("no key");
            });
    assertThatThrownBy(api::reload)
        .isInstanceOfSatisfying(
            ProblemException.class,
            e -> assertThat(e.problem().code()).isEqualTo(Problem.Code.REFUSED))
        .hasMessage(
            "the configuration is refused, nothing is changed; correct it and reload again: no key");
  }
}
