// SPDX-License-Identifier: Apache-2.0
package io.vmferry.coordinator.migration;

import static org.assertj.core.api.Assertions.assertThat;

import io.vmferry.api.VolumeState;
import io.vmferry.coordinator.hypervisor.DomainEvent.Kind;
import io.vmferry.coordinator.hypervisor.DomainState;
import io.vmferry.coordinator.hypervisor.DomainXml;
import java.time.Duration;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** At the destination: when volumes are taken over, and until when that is asked for. */
class TakeoversTest extends CoordinatorFixture {
  @ParameterizedTest
  @EnumSource(names = {"RESUMED_MIGRATED", "RESUMED_POSTCOPY", "RESUMED", "STARTED"})
  void takesOverWhenTheGuestRuns(Kind kind) throws Exception {
    incoming();
    domain(DomainState.RUNNING);

    emit(kind);

    assertThat(relay.takeovers).isEqualTo(1);
    assertThat(volume()).isEqualTo(VolumeState.FETCHING);
    assertThat(details("takeover")).containsExactly("asked for: the guest runs here", "done");
  }

  @Test
  void doesNotTakeOverBeforeTheGuestRuns() throws Exception {
    incoming();
    scheduler.advance(Duration.ofMinutes(5));

    assertThat(relay.takeovers).isZero();
    assertThat(relay.dropped).isEmpty();
    assertThat(coordinator.incoming(VM)).isTrue();
  }

  @Test
  void phasesAtTheDestination() throws Exception {
    incoming();
    domain(DomainState.RUNNING);
    emit(Kind.RESUMED_MIGRATED);

    assertThat(phases()).containsExactly("1", "5", "0");
    assertThat(coordinator.incoming(VM)).isFalse();
  }

  @Test
  void doesNotWaitForLibvirtBeforeATakeover() throws Exception {
    incoming();
    hypervisor.silent = true;

    emit(Kind.RESUMED_MIGRATED);

    assertThat(relay.takeovers).isEqualTo(1);
  }

  @Test
  void asksAgainUntilATakeoverIsDone() throws Exception {
    incoming();
    domain(DomainState.RUNNING);
    relay.takeoverProblem = "hosta does not answer";
    emit(Kind.RESUMED_MIGRATED);
    scheduler.advance(Duration.ofMinutes(1));
    assertThat(relay.takeovers).isGreaterThan(10);

    relay.takeoverProblem = null;
    scheduler.advance(Duration.ofSeconds(5));

    assertThat(volume()).isEqualTo(VolumeState.FETCHING);
    assertThat(details("takeover"))
        .containsExactly(
            "asked for: the guest runs here", "not done yet: hosta does not answer", "done");
  }

  @Test
  void asksAgainIfTheRelayWasDown() throws Exception {
    incoming();
    domain(DomainState.RUNNING);
    relay.up = false;
    emit(Kind.RESUMED_MIGRATED);
    scheduler.advance(SECOND);

    relay.up = true;
    scheduler.advance(Duration.ofSeconds(5));

    assertThat(volume()).isEqualTo(VolumeState.FETCHING);
  }

  @Test
  void doesNotBelieveADoneTakeoverThatChangedNothing() throws Exception {
    incoming();
    domain(DomainState.RUNNING);
    relay.takeoverDoesNothing = true;

    emit(Kind.RESUMED_MIGRATED);
    scheduler.advance(SECOND);

    assertThat(relay.takeovers).isGreaterThan(1);
    assertThat(details("takeover")).contains("not done yet: volume vol is still STANDBY");
  }

  @Test
  void stopsAskingWhenTheDomainStops() throws Exception {
    incoming();
    domain(DomainState.RUNNING);
    relay.takeoverProblem = "no";
    emit(Kind.RESUMED_MIGRATED);

    hypervisor.domains.clear();
    emit(Kind.STOPPED);
    int before = relay.takeovers;
    scheduler.advance(Duration.ofMinutes(1));

    assertThat(relay.takeovers).isEqualTo(before);
  }

  @Test
  void stopsAskingWhenTheDomainStoppedUnseen() throws Exception {
    incoming();
    domain(DomainState.RUNNING);
    relay.takeoverProblem = "no";
    emit(Kind.RESUMED_MIGRATED);

    hypervisor.domains.clear();
    scheduler.advance(SECOND);
    int before = relay.takeovers;
    scheduler.advance(Duration.ofMinutes(1));

    assertThat(relay.takeovers).isEqualTo(before);
    assertThat(details("takeover")).contains("given up: no guest runs here any more");
  }

  @Test
  void aDoubledEventAsksOnce() throws Exception {
    incoming();
    domain(DomainState.RUNNING);
    relay.takeoverProblem = "no";

    emit(Kind.RESUMED_MIGRATED);
    emit(Kind.RESUMED_MIGRATED);

    assertThat(relay.takeovers).isEqualTo(1);
  }

  @Test
  void aTakeoverByTheRelayItselfNeedsNone() throws Exception {
    incoming();
    domain(DomainState.RUNNING);
    relay.put("vol", VolumeState.FETCHING, VM);

    emit(Kind.RESUMED_MIGRATED);

    assertThat(relay.takeovers).isZero();
    assertThat(phases()).containsExactly("1", "5", "0");
  }

  @Test
  void aMissedResumeIsFoundByReconciliation() throws Exception {
    incoming();
    domain(DomainState.RUNNING);

    scheduler.advance(Coordinator.RECONCILE_INTERVAL);

    assertThat(volume()).isEqualTo(VolumeState.FETCHING);
  }

  @Test
  void anAgentThatStartsInTheMiddleTakesOver() {
    relay.put("vol", VolumeState.STANDBY, VM);
    domain(DomainState.RUNNING);

    start();

    assertThat(volume()).isEqualTo(VolumeState.FETCHING);
  }

  @Test
  void anAgentRestartedBeforeTheResumeTakesOver() throws Exception {
    incoming();
    coordinator = newCoordinator();
    start();
    domain(DomainState.RUNNING);

    emit(Kind.RESUMED_MIGRATED);

    assertThat(volume()).isEqualTo(VolumeState.FETCHING);
  }

  @Test
  void eventsOfAReconnectedLibvirtAreMadeUpFor() throws Exception {
    incoming();
    hypervisor.problem = "libvirtd is gone";
    scheduler.advance(Duration.ofSeconds(25));
    hypervisor.problem = null;
    domain(DomainState.RUNNING);

    hypervisor.connected();
    scheduler.settle();

    assertThat(volume()).isEqualTo(VolumeState.FETCHING);
  }

  @Test
  void aVmStartedOnAnotherHostIsTakenOver() throws Exception {
    start();
    var unused = coordinator.attach(DomainXml.parse(xml(null), SOCKET), false);
    scheduler.settle();
    domain(DomainState.RUNNING);

    emit(Kind.STARTED);

    assertThat(volume()).isEqualTo(VolumeState.FETCHING);
  }
}
