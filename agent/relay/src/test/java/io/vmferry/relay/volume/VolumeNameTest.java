// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.volume;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.vmferry.api.Problem;
import io.vmferry.api.ProblemException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.NullAndEmptySource;
import org.junit.jupiter.params.provider.ValueSource;

final class VolumeNameTest {
  @ParameterizedTest
  @ValueSource(strings = {"a", "vm1-disk0", "_x", "A.b_c-9", "0"})
  void allows(String name) {
    assertThat(VolumeName.check(name)).isEqualTo(name);
  }

  @ParameterizedTest
  @NullAndEmptySource
  @ValueSource(strings = {".", "..", "-x", ".hidden", "a/b", "a b", "a\nb", "\u00e4", "a\0"})
  void refuses(String name) {
    assertThat(VolumeName.isValid(name)).isFalse();
    assertThatThrownBy(() -> VolumeName.check(name))
        .isInstanceOfSatisfying(
            ProblemException.class,
            e -> assertThat(e.problem().code()).isEqualTo(Problem.Code.BAD_REQUEST))
        .hasMessageContaining("'" + name + "'");
  }

  @Test
  void hasAtMost128Characters() {
    assertThat(VolumeName.isValid("x".repeat(128))).isTrue();
    assertThat(VolumeName.isValid("x".repeat(129))).isFalse();
  }
}
