// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.volume;

import static io.vmferry.api.VolumeState.FETCHING;
import static io.vmferry.api.VolumeState.FORKED;
import static io.vmferry.api.VolumeState.RELEASED;
import static io.vmferry.api.VolumeState.SERVING;
import static io.vmferry.api.VolumeState.STANDBY;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.vmferry.api.VolumeState;
import io.vmferry.relay.volume.VolumeTransitions.Trigger;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** The whole table: what is not listed here is illegal. */
final class VolumeTransitionsTest {
  private record Step(VolumeState from, Trigger trigger) {}

  private static final Map<Step, VolumeState> LEGAL =
      Map.of(
          new Step(SERVING, Trigger.RELEASE), RELEASED,
          new Step(STANDBY, Trigger.TAKE_OVER), FETCHING,
          new Step(STANDBY, Trigger.DROP), RELEASED,
          new Step(FETCHING, Trigger.COMPLETE), SERVING,
          new Step(FETCHING, Trigger.RELEASE), RELEASED,
          new Step(RELEASED, Trigger.ATTACH), STANDBY,
          new Step(RELEASED, Trigger.PROMOTE), SERVING,
          new Step(FORKED, Trigger.PROMOTE), SERVING,
          new Step(SERVING, Trigger.FORK), FORKED,
          new Step(FETCHING, Trigger.FORK), FORKED);

  static Stream<Arguments> everyPair() {
    return Stream.of(VolumeState.values())
        .flatMap(state -> Stream.of(Trigger.values()).map(trigger -> Arguments.of(state, trigger)));
  }

  @ParameterizedTest
  @MethodSource("everyPair")
  void allowsTheListedStepsAndNoOther(VolumeState state, Trigger trigger) {
    VolumeState next = LEGAL.get(new Step(state, trigger));

    assertThat(VolumeTransitions.allows(state, trigger)).isEqualTo(next != null);
    if (next != null) {
      assertThat(VolumeTransitions.next(state, trigger)).isEqualTo(next);
    } else {
      assertThatThrownBy(() -> VolumeTransitions.next(state, trigger))
          .isInstanceOf(IllegalStateException.class)
          .hasMessageContaining(state.name())
          .hasMessageContaining(trigger.name());
    }
  }
}
