// SPDX-License-Identifier: Apache-2.0
package io.vmferry.coordinator.migration;

import static org.assertj.core.api.Assertions.assertThat;

import io.vmferry.api.VolumeState;
import io.vmferry.coordinator.hypervisor.DomainEvent.Kind;
import io.vmferry.coordinator.hypervisor.DomainState;
import java.time.Duration;
import java.util.ArrayDeque;
import org.junit.jupiter.api.Test;

/** When the metadata of a domain names this node as the owner of its disks. */
class OwnerMetadataTest extends CoordinatorFixture {
  @Test
  void namesTheOwnerOfARunningDomainAtStart() {
    runningHere();

    assertThat(hypervisor.owners).containsExactly("hostb");
  }

  @Test
  void namesTheOwnerOnce() {
    runningHere();
    scheduler.advance(Duration.ofMinutes(2));

    assertThat(hypervisor.owners).hasSize(1);
  }

  @Test
  void namesTheOwnerOnceForTwoEventsAtTheSameTime() {
    start();
    relay.put("vol", VolumeState.SERVING, VM);
    domain(DomainState.RUNNING);

    relay.heldStatuses = new ArrayDeque<>();
    hypervisor.emit(VM, Kind.RESUMED);
    hypervisor.emit(VM, Kind.STARTED);
    scheduler.settle();

    // The domain was read twice before its owner was named once.
    while (!relay.heldStatuses.isEmpty()) {
      relay.answerOldestStatus();
      scheduler.settle();
    }

    assertThat(hypervisor.owners).containsExactly("hostb");
  }

  @Test
  void namesTheOwnerAfterATakeover() throws Exception {
    incoming();
    assertThat(hypervisor.owners).isEmpty();
    domain(DomainState.RUNNING);

    emit(Kind.RESUMED_MIGRATED);

    assertThat(hypervisor.owners).containsExactly("hostb");
  }

  @Test
  void namesNoOwnerBeforeTheTakeover() throws Exception {
    incoming();
    relay.takeoverProblem = "no";
    domain(DomainState.RUNNING);

    emit(Kind.RESUMED_MIGRATED);
    scheduler.advance(Duration.ofMinutes(1));

    assertThat(hypervisor.owners).isEmpty();
  }

  @Test
  void namesNoOwnerDuringAMigration() {
    domain(DomainState.RUNNING);
    start();
    hypervisor.jobs.add(VM);
    hypervisor.emit(VM, Kind.MIGRATION_ITERATION, 1);
    scheduler.settle();
    relay.put("vol", VolumeState.SERVING, VM);

    scheduler.advance(Duration.ofMinutes(1));

    assertThat(hypervisor.owners).isEmpty();
  }

  @Test
  void triesAgainToNameTheOwner() {
    hypervisor.setOwnerProblem = "cannot acquire state change lock";
    runningHere();
    hypervisor.setOwnerProblem = null;

    scheduler.advance(Coordinator.RECONCILE_INTERVAL);

    assertThat(hypervisor.owners).containsExactly("hostb");
  }
}
