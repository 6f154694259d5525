// SPDX-License-Identifier: Apache-2.0
package io.vmferry.coordinator.migration;

import static org.assertj.core.api.Assertions.assertThat;

import io.vmferry.api.AgentStatus.DomainStatus;
import io.vmferry.api.VolumeState;
import io.vmferry.coordinator.hypervisor.DomainEvent.Kind;
import io.vmferry.coordinator.hypervisor.DomainInfo;
import io.vmferry.coordinator.hypervisor.DomainState;
import io.vmferry.coordinator.hypervisor.DomainXml;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.List;
import java.util.UUID;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class CoordinatorTest extends CoordinatorFixture {
  private static final Duration SECOND = Duration.ofSeconds(1);

  /** The hook was answered and QEMU waits for the guest's memory. */
  private void incoming() throws Exception {
    start();
    var unused = coordinator.attach(DomainXml.parse(xml("hosta"), SOCKET), true);
    scheduler.settle();
    domain(DomainState.STARTING_UP);
    emit(Kind.STARTED_MIGRATED);
  }

  private void emit(Kind kind) {
    hypervisor.emit(VM, kind);
    scheduler.settle();
  }

  private VolumeState volume() {
    return relay.volumes.get("vol").state();
  }

  // Destination

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

  // Failed migrations

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

  // Source

  private void runningHere() {
    domain(DomainState.RUNNING);
    relay.put("vol", VolumeState.SERVING, VM);
    start();
  }

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

  // Owner in the metadata

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

  // Retirement

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

  // Others

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
