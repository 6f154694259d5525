// SPDX-License-Identifier: Apache-2.0
package io.vmferry.coordinator.migration;

import static org.assertj.core.api.Assertions.assertThat;

import io.vmferry.api.VolumeState;
import io.vmferry.coordinator.hypervisor.DomainEvent.Kind;
import io.vmferry.coordinator.hypervisor.DomainState;
import java.time.Duration;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** At the source: phases, roll-backs, and migrations whose end nobody saw. */
class SourceOfMigrationTest extends CoordinatorFixture {
  @Test
  void phasesAtTheSource() {
    runningHere();
    hypervisor.jobs.add(VM);

    hypervisor.emit(VM, Kind.MIGRATION_ITERATION, 1);
    hypervisor.emit(VM, Kind.MIGRATION_ITERATION, 2);
    hypervisor.setState(VM, DomainState.PAUSED_MIGRATION);
    emit(Kind.SUSPENDED_MIGRATED);
    hypervisor.domains.clear();
    emit(Kind.STOPPED_MIGRATED);
    emit(Kind.JOB_COMPLETED);

    assertThat(phases()).containsExactly("2", "3", "4", "5", "0");
  }

  @ParameterizedTest
  @EnumSource(names = {"RESUMED", "RESUMED_MIGRATED"})
  void aRollBackBeforeTheTakeoverNeedsNone(Kind kind) {
    runningHere();
    hypervisor.setState(VM, DomainState.PAUSED_MIGRATION);
    emit(Kind.SUSPENDED_MIGRATED);
    hypervisor.setState(VM, DomainState.RUNNING);

    emit(kind);

    assertThat(relay.takeovers).isZero();
    assertThat(phases()).containsExactly("4", "0");
  }

  @ParameterizedTest
  @EnumSource(names = {"RESUMED", "RESUMED_MIGRATED"})
  void aRollBackAfterTheTakeoverTakesBack(Kind kind) {
    runningHere();
    hypervisor.setState(VM, DomainState.PAUSED_MIGRATION);
    emit(Kind.SUSPENDED_MIGRATED);
    relay.put("vol", VolumeState.RELEASED, VM);
    hypervisor.setState(VM, DomainState.RUNNING);

    emit(kind);

    assertThat(volume()).isEqualTo(VolumeState.FETCHING);
    assertThat(phases()).containsExactly("4", "0", "5", "0");
  }

  @Test
  void aLateResumeDoesNotTakeBackFromAStoppedSource() {
    runningHere();
    hypervisor.setState(VM, DomainState.PAUSED_MIGRATION);
    relay.put("vol", VolumeState.RELEASED, VM);

    emit(Kind.RESUMED);
    scheduler.advance(Duration.ofMinutes(1));

    assertThat(relay.takeovers).isZero();
  }

  @Test
  void theSourceOfAFinishedMigrationTakesNothingBack() {
    runningHere();
    emit(Kind.SUSPENDED_MIGRATED);
    relay.put("vol", VolumeState.RELEASED, VM);
    hypervisor.domains.clear();
    emit(Kind.STOPPED_MIGRATED);

    scheduler.advance(Duration.ofMinutes(5));

    assertThat(relay.takeovers).isZero();
    assertThat(relay.volumes).containsKey("vol");
  }

  @Test
  void aMigrationThatFailedUnseenEnds() {
    runningHere();
    hypervisor.emit(VM, Kind.MIGRATION_ITERATION, 1);
    hypervisor.jobs.add(VM);
    scheduler.advance(Duration.ofMinutes(1));
    assertThat(phases()).containsExactly("2");

    hypervisor.jobs.clear();
    scheduler.advance(Coordinator.RECONCILE_INTERVAL);

    assertThat(phases()).containsExactly("2", "0");
  }

  @Test
  void missedLastEventsEndAMigration() {
    runningHere();
    emit(Kind.SUSPENDED_MIGRATED);
    hypervisor.domains.clear();

    scheduler.advance(Coordinator.RECONCILE_INTERVAL);

    assertThat(phases()).containsExactly("4", "0");
  }
}
