// SPDX-License-Identifier: Apache-2.0
package io.vmferry.coordinator.hypervisor;

import java.util.UUID;

/**
 * Something happened to a domain, ours or not.
 *
 * @param domain libvirt's UUID
 * @param name libvirt's name
 * @param kind what happened
 * @param number iteration of the memory copy, from 1, for {@link Kind#MIGRATION_ITERATION}; else 0
 */
public record DomainEvent(UUID domain, String name, Kind kind, int number) {

  /** Kinds of events, as far as the agent tells them apart. */
  public enum Kind {
    DEFINED,
    UNDEFINED,
    /** Started from scratch, from a save file or from a snapshot. */
    STARTED,
    /** Its QEMU was started for an incoming migration; the guest does not run yet. */
    STARTED_MIGRATED,
    SUSPENDED,
    /** Stopped for the last part of a migration; also sent when that part then fails. */
    SUSPENDED_MIGRATED,
    SUSPENDED_POSTCOPY,
    SUSPENDED_IO_ERROR,
    RESUMED,
    /** At the destination: the migration succeeded; at the source: it was rolled back. */
    RESUMED_MIGRATED,
    RESUMED_POSTCOPY,
    STOPPED,
    STOPPED_MIGRATED,
    STOPPED_FAILED,
    MIGRATION_ITERATION,
    JOB_COMPLETED,
    IO_ERROR,
    OTHER
  }

  /** For people. */
  public String text() {
    return kind == Kind.MIGRATION_ITERATION ? kind + " " + number : kind.toString();
  }
}
