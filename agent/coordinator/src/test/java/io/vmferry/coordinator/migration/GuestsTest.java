// SPDX-License-Identifier: Apache-2.0
package io.vmferry.coordinator.migration;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.vmferry.api.GuestStatus;
import io.vmferry.api.GuestStatus.State;
import io.vmferry.api.Problem;
import io.vmferry.api.ProblemException;
import io.vmferry.coordinator.hypervisor.DomainInfo;
import io.vmferry.coordinator.hypervisor.DomainState;
import io.vmferry.coordinator.hypervisor.VmferryDisk;
import java.time.Duration;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.UUID;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class GuestsTest extends CoordinatorFixture {
  private final Set<UUID> incoming = new HashSet<>();
  private final Guests guests = new Guests(hypervisor, incoming::contains, Duration.ofMillis(50));

  @ParameterizedTest
  @CsvSource({
    "RUNNING, ACTIVE",
    "PAUSED, ACTIVE",
    "PAUSED_IO_ERROR, ACTIVE",
    "STARTING_UP, ACTIVE",
    "OTHER, ACTIVE",
    "PAUSED_MIGRATION, STOPPED_FOR_MIGRATION",
    "PAUSED_POSTCOPY, STOPPED_FOR_MIGRATION",
    "PAUSED_POSTCOPY_FAILED, STOPPED_FOR_MIGRATION"
  })
  void stateOfAnActiveDomain(DomainState state, State expected) {
    domain(state);

    assertThat(guests.of("vol").join()).isEqualTo(new GuestStatus(expected, VM, "vm"));
  }

  @Test
  void anIncomingDomainDoesNotRunHere() {
    domain(DomainState.STARTING_UP);
    incoming.add(VM);

    assertThat(guests.of("vol").join().state()).isEqualTo(State.STOPPED_FOR_MIGRATION);
  }

  @Test
  void anIncomingDomainThatRunsIsActive() {
    domain(DomainState.RUNNING);
    incoming.add(VM);

    assertThat(guests.of("vol").join().state()).isEqualTo(State.ACTIVE);
  }

  @Test
  void noneIfShutOff() {
    domain(DomainState.SHUT_OFF, List.of("vol"));

    assertThat(guests.of("vol").join()).isEqualTo(new GuestStatus(State.NONE, null, null));
  }

  @Test
  void noneIfNobodyHasTheVolume() {
    domain(DomainState.RUNNING);

    assertThat(guests.of("other").join().state()).isEqualTo(State.NONE);
  }

  @Test
  void theMostActiveOfTwoUsersCounts() {
    domain(DomainState.PAUSED_MIGRATION);
    UUID second = UUID.randomUUID();
    hypervisor.put(
        new DomainInfo(
            second,
            "second",
            true,
            DomainState.RUNNING,
            List.of(new VmferryDisk("vol", "vda")),
            List.of(),
            null));

    assertThat(guests.of("vol").join()).isEqualTo(new GuestStatus(State.ACTIVE, second, "second"));
  }

  @Test
  void noAnswerWithoutLibvirt() {
    domain(DomainState.SHUT_OFF);
    hypervisor.problem = "can't connect to libvirt";

    assertThatThrownBy(() -> guests.of("vol").join())
        .cause()
        .isInstanceOfSatisfying(
            ProblemException.class,
            e -> assertThat(e.problem().code()).isEqualTo(Problem.Code.UNAVAILABLE))
        .hasMessageContaining("volume vol")
        .hasMessageContaining("can't connect to libvirt");
  }

  @Test
  void noAnswerIfLibvirtHangs() {
    hypervisor.silent = true;

    assertThatThrownBy(() -> guests.of("vol").join())
        .cause()
        .isInstanceOf(ProblemException.class)
        .hasMessageContaining("libvirt did not answer");
  }
}
