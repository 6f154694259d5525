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

class IoErrorPausesTest extends CoordinatorFixture {

  private void pausedByEvent() {
    domain(DomainState.RUNNING);
    relay.put("vol", VolumeState.SERVING, VM);
    start();
    pause();
  }

  private void pause() {
    hypervisor.setState(VM, DomainState.PAUSED_IO_ERROR);
    hypervisor.diskErrors.add("vda");
    hypervisor.emit(VM, Kind.IO_ERROR);
    hypervisor.emit(VM, Kind.SUSPENDED_IO_ERROR);
    scheduler.settle();
  }

  @Test
  void resumesWhenTheRelayAnswersAgain() {
    pausedByEvent();
    relay.up = false;
    scheduler.advance(Duration.ofMinutes(10));
    assertThat(hypervisor.resumes).isZero();

    relay.up = true;
    scheduler.advance(Duration.ofSeconds(5));

    assertThat(hypervisor.resumes).isEqualTo(1);
  }

  @Test
  void waitsASecondBeforeTheFirstResume() {
    pausedByEvent();
    scheduler.advance(Duration.ofMillis(999));
    assertThat(hypervisor.resumes).isZero();

    scheduler.advance(Duration.ofMillis(1));

    assertThat(hypervisor.resumes).isEqualTo(1);
  }

  @Test
  void backsOffAndNeverGivesUp() {
    pausedByEvent();
    hypervisor.afterResume = DomainState.PAUSED_IO_ERROR;

    // 1, 2, 4, 5, 5 … seconds
    scheduler.advance(Duration.ofSeconds(7));
    assertThat(hypervisor.resumes).isEqualTo(3);
    scheduler.advance(Duration.ofSeconds(50));
    assertThat(hypervisor.resumes).isEqualTo(13);
    scheduler.advance(Duration.ofHours(1).minusMinutes(2));

    assertThat(hypervisor.resumes).isGreaterThan(600);
  }

  @Test
  void resumesAgainWhenTheGuestDoesNotStayRunning() {
    pausedByEvent();
    scheduler.advance(Duration.ofSeconds(4));
    assertThat(hypervisor.resumes).isEqualTo(1);

    pause();
    scheduler.advance(Duration.ofSeconds(5));

    assertThat(hypervisor.resumes).isEqualTo(2);
  }

  @Test
  void endsWhenTheGuestStaysRunning() {
    pausedByEvent();
    scheduler.advance(Duration.ofMinutes(1));

    assertThat(details("resume"))
        .containsExactly("resumed after an I/O error", "runs again after an I/O error");
  }

  @Test
  void isFoundByReconciliation() {
    domain(DomainState.PAUSED_IO_ERROR);
    relay.put("vol", VolumeState.SERVING, VM);
    start();

    scheduler.advance(Duration.ofSeconds(1));

    assertThat(hypervisor.resumes).isEqualTo(1);
  }

  @ParameterizedTest
  @EnumSource(names = {"PAUSED_POSTCOPY", "STARTING_UP", "OTHER", "SHUT_OFF"})
  void resumesNothingElse(DomainState state) {
    pausedByEvent();
    hypervisor.setState(VM, state);

    scheduler.advance(Duration.ofMinutes(10));

    assertThat(hypervisor.resumes).isZero();
  }

  /** Seen with libvirt 9.0: the error came while the migration's last step was under way. */
  @Test
  void resumesWhatLibvirtTakesForThePauseOfAnOperator() {
    pausedByEvent();
    hypervisor.setState(VM, DomainState.PAUSED);
    hypervisor.emit(VM, Kind.SUSPENDED);

    scheduler.advance(Duration.ofSeconds(1));

    assertThat(hypervisor.resumes).isEqualTo(1);
  }

  @Test
  void suchAPauseIsFoundByReconciliationToo() {
    domain(DomainState.PAUSED);
    hypervisor.diskErrors.add("vda");
    relay.put("vol", VolumeState.SERVING, VM);
    start();

    scheduler.advance(Duration.ofSeconds(1));

    assertThat(hypervisor.resumes).isEqualTo(1);
  }

  @Test
  void leavesThePauseOfAnOperatorAlone() {
    pausedByEvent();
    scheduler.advance(Duration.ofSeconds(4));
    hypervisor.diskErrors.clear();
    hypervisor.setState(VM, DomainState.PAUSED);
    hypervisor.emit(VM, Kind.SUSPENDED);
    int resumes = hypervisor.resumes;

    scheduler.advance(Duration.ofMinutes(10));

    assertThat(hypervisor.resumes).isEqualTo(resumes);
  }

  @Test
  void leavesAGoneDomainAlone() {
    pausedByEvent();
    hypervisor.domains.clear();

    scheduler.advance(Duration.ofMinutes(10));

    assertThat(hypervisor.resumes).isZero();
  }

  @Test
  void leavesErrorsOfOtherDisksToTheOperator() {
    pausedByEvent();
    hypervisor.diskErrors.add("vdb");

    scheduler.advance(Duration.ofMinutes(1));

    assertThat(hypervisor.resumes).isZero();
    assertThat(details("resume"))
        .containsExactly(
            "not resumed yet: disk vdb, which is not a vmferry disk, had an I/O error; repair it,"
                + " then run `virsh resume vm`");
  }

  @Test
  void waitsForAVolumeThatIsStopped() {
    pausedByEvent();
    relay.put("vol", VolumeState.SERVING, VM, 0, null, "state file broken");

    scheduler.advance(Duration.ofMinutes(1));

    assertThat(hypervisor.resumes).isZero();
    assertThat(details("resume"))
        .containsExactly("not resumed yet: volume vol is stopped: state file broken");
  }

  @Test
  void survivesALibvirtRestart() {
    pausedByEvent();
    hypervisor.problem = "gone";
    scheduler.advance(Duration.ofMinutes(1));

    hypervisor.problem = null;
    scheduler.advance(Duration.ofSeconds(5));

    assertThat(hypervisor.resumes).isEqualTo(1);
  }

  @Test
  void saysTheSameReasonSparsely() {
    pausedByEvent();
    relay.up = false;

    scheduler.advance(Duration.ofMinutes(11));

    assertThat(details("resume")).hasSize(3);
  }
}
