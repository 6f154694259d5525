// SPDX-License-Identifier: Apache-2.0
package io.vmferry.coordinator.migration;

import static org.assertj.core.api.Assertions.assertThat;

import io.vmferry.api.PeerClients;
import io.vmferry.api.VolumeState;
import io.vmferry.coordinator.hypervisor.DomainEvent.Kind;
import io.vmferry.coordinator.hypervisor.DomainInfo;
import io.vmferry.coordinator.hypervisor.DomainState;
import java.time.Duration;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** A domain on node hostb that its migration left behind. */
class LeftPausedDomainsTest extends CoordinatorFixture {

  private void left(DomainState state, VolumeState volume) {
    domain(state);
    relay.put("vol", volume, VM);
    start();
  }

  private void pass() {
    scheduler.advance(Duration.ofSeconds(30));
  }

  private String note() {
    var domains = coordinator.domains();
    scheduler.settle();
    return domains.join().get(0).note();
  }

  private void metadataNames(String owner) {
    DomainInfo old = hypervisor.domains.get(VM);
    hypervisor.put(
        new DomainInfo(VM, "vm", true, old.state(), old.disks(), old.definedVolumes(), owner));
  }

  @ParameterizedTest
  @EnumSource(names = {"SERVING", "FETCHING"})
  void isResumedIfNobodyElseCanRun(VolumeState owner) {
    left(DomainState.PAUSED_MIGRATION, owner);
    pass();

    assertThat(hypervisor.resumes).isEqualTo(1);
    assertThat(details("resume"))
        .containsExactly("resumed: left paused by a migration that is over");
    assertThat(note()).isNull();
  }

  @Test
  void isNotTouchedWhileItMayBeAStepOfTheMigration() {
    left(DomainState.PAUSED_MIGRATION, VolumeState.SERVING);
    scheduler.advance(LeftPausedDomains.GRACE.minusMillis(1));

    assertThat(hypervisor.resumes).isZero();
  }

  @Test
  void theGraceBeginsAnewAfterAJob() {
    hypervisor.jobs.add(VM);
    left(DomainState.PAUSED_MIGRATION, VolumeState.SERVING);
    scheduler.advance(Duration.ofMinutes(1).minusMillis(1));
    hypervisor.jobs.clear();
    scheduler.advance(Duration.ofMillis(1));
    assertThat(hypervisor.resumes).isZero();
    scheduler.advance(Duration.ofSeconds(9));
    assertThat(hypervisor.resumes).isZero();

    scheduler.advance(Duration.ofSeconds(1));

    assertThat(hypervisor.resumes).isEqualTo(1);
  }

  @Test
  void waitsForTheQemuAtThePeer() {
    relay.peerClients = List.of(new PeerClients("hosta", 1, null));
    left(DomainState.PAUSED_MIGRATION, VolumeState.SERVING);
    pass();
    assertThat(hypervisor.resumes).isZero();
    assertThat(note()).contains("node hosta still has a QEMU with its volumes");
    assertThat(details("left paused")).hasSize(1);

    relay.peerClients = List.of(new PeerClients("hosta", 0, null));
    pass();

    assertThat(hypervisor.resumes).isEqualTo(1);
  }

  @Test
  void waitsForAPeerThatDoesNotAnswer() {
    relay.peerClients =
        List.of(
            new PeerClients("hosta", 0, null),
            new PeerClients("hostc", 0, "node hostc does not answer (no route)"));
    left(DomainState.PAUSED_MIGRATION, VolumeState.SERVING);
    pass();

    assertThat(hypervisor.resumes).isZero();
    assertThat(note())
        .isEqualTo(
            "its migration is over, and whether it runs elsewhere is not known: node hostc does not"
                + " answer (no route); it is resumed when it is known that it does not");
  }

  @Test
  void aClientCountsMoreThanASilentPeer() {
    relay.peerClients =
        List.of(
            new PeerClients("hosta", 0, "node hosta does not answer (no route)"),
            new PeerClients("hostc", 2, null));
    left(DomainState.PAUSED_MIGRATION, VolumeState.SERVING);
    pass();

    assertThat(note()).contains("node hostc still has a QEMU");
  }

  @Test
  void isNotResumedAfterAnotherNodeTookTheVolumes() {
    left(DomainState.PAUSED_MIGRATION, VolumeState.RELEASED);
    pass();

    assertThat(hypervisor.resumes).isZero();
    assertThat(note())
        .isEqualTo(
            "its migration is over and node hosta owns its volumes since: the guest went on there;"
                + " run `virsh destroy vm` to remove what is left here, and start it again if it"
                + " does not run on hosta");
  }

  @Test
  void isNotResumedWhenTheVolumesAreBackEither() {
    left(DomainState.PAUSED_MIGRATION, VolumeState.RELEASED);
    pass();
    assertThat(hypervisor.owners).containsExactly("hosta");
    relay.put("vol", VolumeState.SERVING, VM);
    coordinator = newCoordinator(); // it remembers by the domain's metadata, not by itself
    start();
    pass();

    assertThat(hypervisor.resumes).isZero();
    assertThat(note()).contains("its memory here is older than its disks");
  }

  @Test
  void itsOwnNameInTheMetadataIsNoHindrance() {
    domain(DomainState.PAUSED_MIGRATION);
    metadataNames("hostb");
    relay.put("vol", VolumeState.SERVING, VM);
    start();
    pass();

    assertThat(hypervisor.resumes).isEqualTo(1);
  }

  @ParameterizedTest
  @EnumSource(names = {"PAUSED_POSTCOPY", "PAUSED_POSTCOPY_FAILED"})
  void halfAMemoryIsNotResumed(DomainState state) {
    left(state, VolumeState.SERVING);
    pass();

    assertThat(hypervisor.resumes).isZero();
    assertThat(note()).contains("a part of its memory is only at the destination");
  }

  /** The agent was restarted and missed how the domain came. */
  @Test
  void aDestinationIsNotLeft() {
    hypervisor.jobProblem = "libvirt: migration statistics are available only on the source host";
    left(DomainState.PAUSED_MIGRATION, VolumeState.STANDBY);
    pass();

    assertThat(note()).isNull();
    assertThat(hypervisor.resumes).isZero();
  }

  /** It came without its agent, wrote nothing, and leaves again: nobody ever took over for it. */
  @Test
  void aSourceWhoseVolumesNeverCameIsNotResumed() {
    left(DomainState.PAUSED_MIGRATION, VolumeState.STANDBY);
    pass();

    assertThat(hypervisor.resumes).isZero();
    assertThat(note())
        .isEqualTo(
            "its migration is over and node hosta owns its volumes, which never came here; run"
                + " `virsh destroy vm` to remove what is left here, and start it again if it does"
                + " not run on hosta");
  }

  @Test
  void needsTheRelay() {
    relay.up = false;
    left(DomainState.PAUSED_MIGRATION, VolumeState.SERVING);
    pass();
    assertThat(hypervisor.resumes).isZero();
    assertThat(note()).contains("the relay does not answer");

    relay.up = true;
    pass();

    assertThat(hypervisor.resumes).isEqualTo(1);
  }

  @Test
  void needsAllItsVolumes() {
    left(DomainState.PAUSED_MIGRATION, VolumeState.SERVING);
    relay.volumes.clear();
    pass();

    assertThat(hypervisor.resumes).isZero();
    assertThat(note()).contains("the relay does not serve all of them");
  }

  @Test
  void aPauseOfTheOperatorIsNotTouched() {
    left(DomainState.PAUSED, VolumeState.SERVING);
    pass();

    assertThat(hypervisor.resumes).isZero();
    assertThat(note()).isNull();
  }

  @Test
  void isForgottenWhenItRunsOrIsGone() {
    relay.peerClients = List.of(new PeerClients("hosta", 1, null));
    left(DomainState.PAUSED_MIGRATION, VolumeState.SERVING);
    pass();
    assertThat(note()).isNotNull();
    hypervisor.setState(VM, DomainState.RUNNING);
    hypervisor.emit(VM, Kind.RESUMED);
    scheduler.settle();

    assertThat(note()).isNull();
  }
}
