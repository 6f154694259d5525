// SPDX-License-Identifier: Apache-2.0
package io.vmferry.coordinator.migration;

import static org.assertj.core.api.Assertions.assertThat;

import io.vmferry.api.VolumeState;
import io.vmferry.coordinator.hypervisor.DomainEvent.Kind;
import io.vmferry.coordinator.hypervisor.DomainXml;
import java.time.Duration;
import org.junit.jupiter.api.Test;

/** At the destination of a migration that failed: the standby goes, and only then. */
class DroppedStandbysTest extends CoordinatorFixture {
  @Test
  void dropsTheStandbyOfAFailedMigration() throws Exception {
    incoming();
    hypervisor.domains.clear();

    emit(Kind.STOPPED_FAILED);
    assertThat(relay.dropped).isEmpty();
    scheduler.advance(Standbys.DROP_DELAY);

    assertThat(relay.dropped).containsExactly(VM);
    assertThat(phases()).containsExactly("1", "0");
  }

  @Test
  void aSecondAttemptRightAfterAFailureKeepsItsStandby() throws Exception {
    incoming();
    hypervisor.domains.clear();
    emit(Kind.STOPPED_FAILED);

    var unused = coordinator.attach(DomainXml.parse(xml("hosta"), SOCKET), true);
    scheduler.advance(Duration.ofSeconds(30));

    assertThat(relay.dropped).isEmpty();
    assertThat(volume()).isEqualTo(VolumeState.STANDBY);
  }

  @Test
  void anAttachWaitsForADropThatIsUnderWay() throws Exception {
    incoming();
    hypervisor.domains.clear();
    relay.dropGate = new java.util.concurrent.CompletableFuture<>();
    emit(Kind.STOPPED_FAILED);
    scheduler.advance(Standbys.DROP_DELAY);
    int before = relay.attached.size();

    var unused = coordinator.attach(DomainXml.parse(xml("hosta"), SOCKET), true);
    scheduler.settle();
    assertThat(relay.attached).hasSize(before);
    relay.dropGate.complete(null);
    scheduler.settle();

    assertThat(relay.attached).hasSize(before + 1);
    assertThat(volume()).isEqualTo(VolumeState.STANDBY);
  }

  @Test
  void keepsTheStandbyIfTheDomainIsActiveAfterAll() throws Exception {
    incoming();

    emit(Kind.STOPPED_FAILED);
    scheduler.advance(Duration.ofSeconds(5));

    assertThat(relay.dropped).isEmpty();
  }

  @Test
  void dropsAStandbyWithoutDomainAfterAMinute() throws Exception {
    start();
    var unused = coordinator.attach(DomainXml.parse(xml("hosta"), SOCKET), true);
    scheduler.advance(Duration.ofSeconds(55));
    assertThat(relay.dropped).isEmpty();
    assertThat(coordinator.incoming(VM)).isTrue();

    scheduler.advance(Duration.ofSeconds(20));

    assertThat(relay.dropped).containsExactly(VM);
    assertThat(coordinator.incoming(VM)).isFalse();
  }

  @Test
  void dropsAStandbyFoundWithoutDomainAfterAMinute() {
    relay.put("vol", VolumeState.STANDBY, VM);
    start();

    scheduler.advance(Duration.ofSeconds(55));
    assertThat(relay.dropped).isEmpty();
    scheduler.advance(Duration.ofSeconds(20));

    assertThat(relay.dropped).containsExactly(VM);
  }

  @Test
  void dropsNothingWhileLibvirtIsUnknown() {
    relay.put("vol", VolumeState.STANDBY, VM);
    start();
    hypervisor.problem = "gone";

    scheduler.advance(Duration.ofMinutes(10));

    assertThat(relay.dropped).isEmpty();
  }

  @Test
  void triesAgainToDropWhatCouldNotBeDropped() throws Exception {
    incoming();
    hypervisor.domains.clear();
    relay.up = false;
    emit(Kind.STOPPED_FAILED);
    scheduler.advance(Duration.ofMinutes(2));

    relay.up = true;
    scheduler.advance(Duration.ofMinutes(2));

    assertThat(relay.dropped).containsExactly(VM);
  }
}
