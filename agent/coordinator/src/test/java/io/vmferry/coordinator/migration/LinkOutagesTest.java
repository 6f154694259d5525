// SPDX-License-Identifier: Apache-2.0
package io.vmferry.coordinator.migration;

import static org.assertj.core.api.Assertions.assertThat;

import io.vmferry.api.Epoch;
import io.vmferry.api.PeerClients;
import io.vmferry.api.VolumeState;
import io.vmferry.api.VolumeStatus;
import io.vmferry.coordinator.hypervisor.DomainEvent.Kind;
import io.vmferry.coordinator.hypervisor.DomainState;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** A guest on node hostb whose volume is fetched from hosta, and a link that is cut. */
class LinkOutagesTest extends CoordinatorFixture {
  private static final Duration AFTER = Duration.ofSeconds(20);
  private static final Duration LONG = Duration.ofMinutes(20);

  private void volume(boolean linkUp, int waiting) {
    relay.volumes.put(
        "vol",
        new VolumeStatus(
            "vol",
            UUID.nameUUIDFromBytes(new byte[] {1}),
            1 << 20,
            VolumeState.FETCHING,
            new Epoch(2, "hostb"),
            VM,
            1,
            0,
            1 << 10,
            new VolumeStatus.FetchStatus("hosta", linkUp, 0, 0, 0, 0, 0, 0, null, waiting),
            List.of(),
            null,
            null,
            null,
            null));
  }

  private void fetching() {
    domain(DomainState.RUNNING);
    volume(true, 0);
    start();
  }

  private void cut() {
    volume(false, 3);
  }

  private void heal() {
    volume(true, 0);
  }

  private void pausedByOutage() {
    fetching();
    cut();
    scheduler.advance(AFTER.plusSeconds(2));
    assertThat(hypervisor.suspends).isEqualTo(1);
  }

  private void newAgent() {
    // The old one's tasks go on in this fixture; it must not be the one that acts.
    scheduler.clear();
    coordinator = newCoordinator();
    start();
  }

  private String note() {
    var domains = coordinator.domains();
    scheduler.settle();
    return domains.join().get(0).note();
  }

  /** Somebody resumed the guest, then it was paused here, then came the word of the former. */
  @Test
  void anOlderResumeThatIsToldLateIsNoneOfThisPause() {
    fetching();
    cut();
    scheduler.advance(AFTER.plusSeconds(2));
    assertThat(hypervisor.suspends).isEqualTo(1);

    hypervisor.emit(VM, Kind.RESUMED);
    scheduler.settle();
    assertThat(pauseMarks.marked).containsExactly(VM);
    heal();
    scheduler.advance(Duration.ofSeconds(1));

    assertThat(hypervisor.resumes).isEqualTo(1);
  }

  @Test
  void pausesAGuestThatWaitsAndResumesIt() {
    fetching();
    cut();
    scheduler.advance(AFTER);
    assertThat(hypervisor.suspends).isZero();
    scheduler.advance(Duration.ofSeconds(2));
    assertThat(hypervisor.suspends).isEqualTo(1);
    assertThat(note())
        .isEqualTo(
            "paused by vmferry: it waits for blocks of node hosta and the link is down; resumed by"
                + " itself when that is back");
    scheduler.advance(LONG);
    assertThat(hypervisor.resumes).isZero();

    heal();
    scheduler.advance(Duration.ofSeconds(1));

    assertThat(hypervisor.resumes).isEqualTo(1);
    assertThat(hypervisor.suspends).isEqualTo(1);
    assertThat(pauseMarks.marked).isEmpty();
    assertThat(note()).isNull();
  }

  @Test
  void shortOutagesPauseNobody() {
    fetching();
    for (int i = 0; i < 10; i++) {
      cut();
      scheduler.advance(AFTER.minusSeconds(2));
      heal();
      scheduler.advance(Duration.ofSeconds(2));
    }

    assertThat(hypervisor.suspends).isZero();
  }

  @Test
  void whoDoesNotWaitIsNotPaused() {
    fetching();
    volume(false, 0);
    scheduler.advance(LONG);
    assertThat(hypervisor.suspends).isZero();

    cut();
    scheduler.advance(Duration.ofSeconds(2));

    assertThat(hypervisor.suspends).as("down for long, and waits now").isEqualTo(1);
  }

  @Test
  void resumesOnlyWhenTheRequestsAreServed() {
    pausedByOutage();
    volume(true, 2);
    scheduler.advance(Duration.ofMinutes(1));
    assertThat(hypervisor.resumes).isZero();

    volume(true, 0);
    scheduler.advance(Duration.ofSeconds(1));

    assertThat(hypervisor.resumes).isEqualTo(1);
  }

  @Test
  void maySayOff() {
    pauseAfter = Optional.empty();
    coordinator = newCoordinator();
    fetching();
    cut();
    scheduler.advance(LONG);

    assertThat(hypervisor.suspends).isZero();
  }

  @Test
  void theNextAgentResumes() {
    pausedByOutage();
    newAgent();
    scheduler.advance(Duration.ofMinutes(1));
    assertThat(hypervisor.resumes).isZero();
    assertThat(note()).startsWith("paused by vmferry");

    heal();
    scheduler.advance(Duration.ofSeconds(1));

    assertThat(hypervisor.resumes).isEqualTo(1);
    assertThat(pauseMarks.marked).isEmpty();
  }

  @Test
  void theNextAgentResumesAlsoIfPausingIsOffNow() {
    pausedByOutage();
    pauseAfter = Optional.empty();
    newAgent();
    heal();
    scheduler.advance(Duration.ofSeconds(1));

    assertThat(hypervisor.resumes).isEqualTo(1);
  }

  @Test
  void aMarkOfAGuestThatRunsIsTakenAway() {
    pauseMarks.marked.add(VM);
    fetching();
    scheduler.advance(Duration.ofSeconds(2));
    assertThat(pauseMarks.marked).isEmpty();
    hypervisor.setState(VM, DomainState.PAUSED);
    scheduler.advance(Duration.ofMinutes(10));

    assertThat(hypervisor.resumes).isZero();
  }

  @Test
  void aMarkOfAGuestThatIsGoneIsTakenAway() {
    pauseMarks.marked.add(VM);
    start();
    scheduler.advance(Duration.ofSeconds(2));

    assertThat(pauseMarks.marked).isEmpty();
  }

  @ParameterizedTest
  @EnumSource(
      names = {"PAUSED", "PAUSED_MIGRATION", "PAUSED_POSTCOPY", "PAUSED_IO_ERROR", "STARTING_UP"})
  void whoDoesNotRunIsNeitherPausedNorResumed(DomainState state) {
    fetching();
    cut();
    hypervisor.setState(VM, state);
    // Keep those out of this who resume after I/O errors and after migrations.
    hypervisor.diskErrors.add("vdz");
    relay.peerClients = List.of(new PeerClients("hosta", 1, null));
    scheduler.advance(Duration.ofMinutes(1));
    heal();
    scheduler.advance(Duration.ofMinutes(1));

    assertThat(hypervisor.suspends).isZero();
    assertThat(hypervisor.resumes).isZero();
    assertThat(pauseMarks.marked).isEmpty();
  }

  @Test
  void aMigratingGuestIsNotPaused() {
    fetching();
    hypervisor.jobs.add(VM);
    hypervisor.emit(VM, Kind.MIGRATION_ITERATION, 1);
    cut();
    scheduler.advance(Duration.ofMinutes(1));

    assertThat(hypervisor.suspends).isZero();
  }

  @Test
  void whoeverResumesItDuringTheOutageHasDecided() {
    pausedByOutage();
    hypervisor.setState(VM, DomainState.RUNNING);
    hypervisor.emit(VM, Kind.RESUMED);
    scheduler.advance(LONG);
    assertThat(hypervisor.suspends).isEqualTo(1);
    assertThat(pauseMarks.marked).isEmpty();
    hypervisor.setState(VM, DomainState.PAUSED);
    heal();
    scheduler.advance(Duration.ofMinutes(1));
    assertThat(hypervisor.resumes).as("that pause is the operator's").isZero();

    hypervisor.setState(VM, DomainState.RUNNING);
    cut();
    scheduler.advance(AFTER.plusSeconds(2));

    assertThat(hypervisor.suspends).as("the next outage").isEqualTo(2);
  }

  /** QEMU answers a stop only when its requests are answered. */
  @Test
  void bearsAHypervisorThatAnswersWhenTheLinkIsBack() {
    hypervisor.suspendGate = new CompletableFuture<>();
    pausedByOutage();
    assertThat(note()).startsWith("paused by vmferry");
    heal();
    scheduler.advance(Duration.ofMinutes(1));
    assertThat(hypervisor.resumes).as("its pause is not over").isZero();

    hypervisor.suspendGate.complete(null);
    scheduler.advance(Duration.ofSeconds(1));

    assertThat(hypervisor.resumes).isEqualTo(1);
  }

  @Test
  void aLostAnswerOfTheHypervisorIsNoFailure() {
    hypervisor.suspendGate = new CompletableFuture<>();
    pausedByOutage();
    hypervisor.suspendGate.completeExceptionally(new IllegalStateException("connection lost"));
    heal();
    scheduler.advance(Duration.ofSeconds(2));

    assertThat(hypervisor.resumes).isEqualTo(1);
  }

  @Test
  void aRefusalIsTriedAgainAndSaidOnce() {
    hypervisor.suspendProblem = "not now";
    fetching();
    cut();
    scheduler.advance(Duration.ofMinutes(2));
    assertThat(details("pause")).filteredOn(what -> what.startsWith("not paused")).hasSize(1);
    assertThat(pauseMarks.marked).isEmpty();

    hypervisor.suspendProblem = null;
    scheduler.advance(Duration.ofSeconds(2));

    assertThat(hypervisor.suspends).isEqualTo(1);
  }

  @Test
  void nobodyIsPausedWhoWouldBeForgotten() {
    fetching();
    pauseMarks.problem = "no space";
    cut();
    scheduler.advance(Duration.ofMinutes(1));

    assertThat(hypervisor.suspends).isZero();
    assertThat(details("pause")).singleElement().asString().contains("no space");
  }

  @Test
  void aResumeThatFailsIsTriedAgain() {
    pausedByOutage();
    heal();
    hypervisor.problem = "libvirtd restarts";
    scheduler.advance(Duration.ofSeconds(30));

    hypervisor.problem = null;
    scheduler.advance(Duration.ofSeconds(2));

    assertThat(hypervisor.resumes).isEqualTo(1);
  }

  @Test
  void whatIsDestroyedIsForgotten() {
    pausedByOutage();
    hypervisor.domains.clear();
    hypervisor.emit(VM, Kind.STOPPED);
    scheduler.settle();

    assertThat(pauseMarks.marked).isEmpty();
  }
}
