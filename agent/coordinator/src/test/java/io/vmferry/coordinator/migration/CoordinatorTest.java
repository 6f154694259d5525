// SPDX-License-Identifier: Apache-2.0
package io.vmferry.coordinator.migration;

import static org.assertj.core.api.Assertions.assertThat;

import io.vmferry.api.AgentStatus.DomainStatus;
import io.vmferry.api.VolumeState;
import io.vmferry.coordinator.hypervisor.DomainEvent.Kind;
import io.vmferry.coordinator.hypervisor.DomainInfo;
import io.vmferry.coordinator.hypervisor.DomainState;
import java.time.Duration;
import java.util.List;
import java.util.UUID;
import org.junit.jupiter.api.Test;

/** What one node does with its domains when none of them moves. */
class CoordinatorTest extends CoordinatorFixture {
  @Test
  void deletesAReplicaThatNobodyNeeds() {
    relay.put("vol", VolumeState.RELEASED, VM, 0, "hosta", null);
    start();

    assertThat(relay.deleted).containsExactly("vol");
  }

  @Test
  void keepsAReplicaWhileLibvirtIsUnknown() {
    hypervisor.problem = "gone";
    relay.put("vol", VolumeState.RELEASED, VM, 0, "hosta", null);
    start();

    assertThat(relay.deleted).isEmpty();
  }

  @Test
  void ignoresDomainsWithoutVmferryDisks() {
    start();
    hypervisor.put(
        new DomainInfo(VM, "vm", true, DomainState.PAUSED_IO_ERROR, List.of(), List.of(), null));

    emit(Kind.STARTED);
    emit(Kind.RESUMED);
    emit(Kind.IO_ERROR);
    scheduler.advance(Duration.ofMinutes(1));

    assertThat(timeline.after(0)).isEmpty();
    assertThat(hypervisor.resumes).isZero();
    assertThat(relay.takeovers).isZero();
  }

  @Test
  void ignoresEventsOfUnknownDomainsWhileLibvirtIsGone() {
    start();
    hypervisor.problem = "gone";

    hypervisor.emit(UUID.randomUUID(), Kind.RESUMED);
    scheduler.settle();

    assertThat(timeline.after(0)).isEmpty();
  }

  @Test
  void forgetsATransientDomainThatStopped() {
    runningHere();
    hypervisor.setState(VM, DomainState.SHUT_OFF);
    emit(Kind.STOPPED_MIGRATED);

    var domains = coordinator.domains();
    scheduler.settle();

    assertThat(domains.join()).isEmpty();
  }

  @Test
  void showsDomainsAndPhases() {
    runningHere();
    hypervisor.emit(VM, Kind.MIGRATION_ITERATION, 1);
    scheduler.settle();

    var domains = coordinator.domains();
    scheduler.settle();

    assertThat(domains.join())
        .containsExactly(new DomainStatus("vm", VM, "running", List.of("vol"), 2, null));
  }
}
