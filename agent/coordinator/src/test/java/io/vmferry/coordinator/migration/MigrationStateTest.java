// SPDX-License-Identifier: Apache-2.0
package io.vmferry.coordinator.migration;

import static org.assertj.core.api.Assertions.assertThat;

import io.vmferry.coordinator.migration.MigrationState.Signal;
import java.util.ArrayList;
import java.util.List;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class MigrationStateTest {

  private static List<Integer> phases(Signal... signals) {
    List<Integer> phases = new ArrayList<>();
    MigrationState state = MigrationState.IDLE;
    for (Signal signal : signals) {
      state = state.next(signal);
      phases.add(state.phase());
    }
    return phases;
  }

  @Test
  void destination() {
    assertThat(
            phases(
                Signal.ATTACHED,
                Signal.INCOMING_STARTED,
                Signal.RUNS,
                Signal.TAKEOVER_BEGAN,
                Signal.TAKEOVER_DONE))
        .containsExactly(1, 1, 5, 5, 0);
  }

  @Test
  void source() {
    assertThat(
            phases(
                Signal.FIRST_ITERATION,
                Signal.NEXT_ITERATION,
                Signal.NEXT_ITERATION,
                Signal.STOPPED_TO_MIGRATE,
                Signal.STOPPED_MIGRATED,
                Signal.JOB_COMPLETED))
        .containsExactly(2, 3, 3, 4, 5, 0);
  }

  @Test
  void postCopyStopsTwice() {
    assertThat(
            phases(
                Signal.FIRST_ITERATION,
                Signal.STOPPED_TO_MIGRATE,
                Signal.STOPPED_TO_MIGRATE,
                Signal.STOPPED_MIGRATED,
                Signal.JOB_COMPLETED))
        .containsExactly(2, 4, 4, 5, 0);
  }

  @Test
  void resumedAtTheSourceIsARollBack() {
    assertThat(phases(Signal.FIRST_ITERATION, Signal.STOPPED_TO_MIGRATE, Signal.RUNS))
        .containsExactly(2, 4, 0);
  }

  @Test
  void aGuestThatIsResumedWhileMemoryIsCopiedGoesOnMigrating() {
    assertThat(phases(Signal.FIRST_ITERATION, Signal.RUNS)).containsExactly(2, 2);
  }

  @Test
  void failedAtTheDestination() {
    assertThat(phases(Signal.ATTACHED, Signal.INCOMING_STARTED, Signal.ENDED))
        .containsExactly(1, 1, 0);
  }

  @Test
  void iterationsWereMissed() {
    assertThat(phases(Signal.STOPPED_TO_MIGRATE, Signal.STOPPED_MIGRATED)).containsExactly(4, 5);
  }

  @Test
  void theHookWasMissed() {
    assertThat(phases(Signal.INCOMING_STARTED, Signal.RUNS)).containsExactly(1, 5);
  }

  @Test
  void stopWasMissed() {
    assertThat(phases(Signal.NEXT_ITERATION, Signal.STOPPED_MIGRATED)).containsExactly(3, 5);
  }

  @Test
  void jobCompletedBeforeStopped() {
    assertThat(phases(Signal.STOPPED_TO_MIGRATE, Signal.JOB_COMPLETED, Signal.STOPPED_MIGRATED))
        .containsExactly(4, 0, 0);
  }

  @Test
  void migratesBackAtOnce() {
    assertThat(
            phases(
                Signal.STOPPED_TO_MIGRATE,
                Signal.STOPPED_MIGRATED,
                Signal.ATTACHED,
                Signal.RUNS,
                Signal.TAKEOVER_DONE))
        .containsExactly(4, 5, 1, 5, 0);
  }

  @Test
  void anOrdinaryStartIsNoMigration() {
    assertThat(phases(Signal.RUNS, Signal.ENDED)).containsExactly(0, 0);
  }

  @ParameterizedTest
  @EnumSource
  void everyMigrationEndsWhenTheDomainIsGone(MigrationState state) {
    assertThat(state.next(Signal.GONE)).isEqualTo(MigrationState.IDLE);
  }

  @Property
  void aSecondDeliveryChangesNothing(@ForAll MigrationState state, @ForAll Signal signal) {
    MigrationState once = state.next(signal);
    boolean repeats =
        signal != Signal.FIRST_ITERATION
            && signal != Signal.NEXT_ITERATION
            && once != MigrationState.IDLE;
    if (repeats) {
      assertThat(once.next(signal)).isEqualTo(once);
    }
  }
}
