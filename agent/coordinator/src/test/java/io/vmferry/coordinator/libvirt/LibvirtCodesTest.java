// SPDX-License-Identifier: Apache-2.0
package io.vmferry.coordinator.libvirt;

import static org.assertj.core.api.Assertions.assertThat;

import io.vmferry.coordinator.hypervisor.DomainEvent.Kind;
import io.vmferry.coordinator.hypervisor.DomainState;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class LibvirtCodesTest {

  @ParameterizedTest
  @CsvSource({
    "0, 0, DEFINED",
    "1, 0, UNDEFINED",
    "2, 0, STARTED",
    "2, 1, STARTED_MIGRATED",
    "2, 2, STARTED",
    "3, 0, SUSPENDED",
    "3, 1, SUSPENDED_MIGRATED",
    "3, 2, SUSPENDED_IO_ERROR",
    "3, 7, SUSPENDED_POSTCOPY",
    "3, 8, SUSPENDED",
    "4, 0, RESUMED",
    "4, 1, RESUMED_MIGRATED",
    "4, 3, RESUMED_POSTCOPY",
    "4, 4, RESUMED",
    "5, 1, STOPPED",
    "5, 3, STOPPED_MIGRATED",
    "5, 5, STOPPED_FAILED",
    "6, 0, OTHER",
    "99, 0, OTHER"
  })
  void lifecycle(int event, int detail, Kind kind) {
    assertThat(LibvirtCodes.lifecycle(event, detail)).isEqualTo(kind);
  }

  @ParameterizedTest
  @CsvSource({
    "0, 0, true, OTHER",
    "1, 1, true, RUNNING",
    "2, 0, true, RUNNING",
    "3, 0, true, PAUSED",
    "3, 1, true, PAUSED",
    "3, 2, true, PAUSED_MIGRATION",
    "3, 5, true, PAUSED_IO_ERROR",
    "3, 11, true, STARTING_UP",
    "3, 12, true, PAUSED_POSTCOPY",
    "3, 13, true, PAUSED_POSTCOPY_FAILED",
    "3, 99, true, PAUSED",
    "4, 0, true, OTHER",
    "5, 1, false, SHUT_OFF",
    "5, 0, true, STARTING_UP",
    "6, 0, true, OTHER",
    "7, 0, true, OTHER"
  })
  void state(int state, int reason, boolean active, DomainState expected) {
    assertThat(LibvirtCodes.state(state, reason, active)).isEqualTo(expected);
  }

  @ParameterizedTest
  @CsvSource({"0, false", "1, true", "2, true", "3, false", "4, false", "5, false"})
  void job(int type, boolean active) {
    assertThat(LibvirtCodes.jobActive(type)).isEqualTo(active);
  }
}
