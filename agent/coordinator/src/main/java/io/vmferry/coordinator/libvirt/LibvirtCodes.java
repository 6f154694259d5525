// SPDX-License-Identifier: Apache-2.0
package io.vmferry.coordinator.libvirt;

import io.vmferry.coordinator.hypervisor.DomainEvent;
import io.vmferry.coordinator.hypervisor.DomainState;

/** Numbers of libvirt's C API ({@code libvirt-domain.h}) and what they mean here. */
final class LibvirtCodes {
  static final int EVENT_ID_LIFECYCLE = 0;
  static final int EVENT_ID_IO_ERROR = 2;
  static final int EVENT_ID_MIGRATION_ITERATION = 20;
  static final int EVENT_ID_JOB_COMPLETED = 21;

  static final int AFFECT_LIVE = 1;
  static final int AFFECT_CONFIG = 2;

  static final int LIST_ACTIVE = 1;
  static final int LIST_ALL = 0;

  private static final int JOB_BOUNDED = 1;
  private static final int JOB_UNBOUNDED = 2;

  private LibvirtCodes() {}

  /** {@code virDomainEventType} and its detail. */
  static DomainEvent.Kind lifecycle(int event, int detail) {
    return switch (event) {
      case 0 -> DomainEvent.Kind.DEFINED;
      case 1 -> DomainEvent.Kind.UNDEFINED;
      case 2 -> detail == 1 ? DomainEvent.Kind.STARTED_MIGRATED : DomainEvent.Kind.STARTED;
      case 3 ->
          switch (detail) {
            case 1 -> DomainEvent.Kind.SUSPENDED_MIGRATED;
            case 2 -> DomainEvent.Kind.SUSPENDED_IO_ERROR;
            case 7 -> DomainEvent.Kind.SUSPENDED_POSTCOPY;
            default -> DomainEvent.Kind.SUSPENDED;
          };
      case 4 ->
          switch (detail) {
            case 1 -> DomainEvent.Kind.RESUMED_MIGRATED;
            case 3 -> DomainEvent.Kind.RESUMED_POSTCOPY;
            default -> DomainEvent.Kind.RESUMED;
          };
      case 5 ->
          switch (detail) {
            case 3 -> DomainEvent.Kind.STOPPED_MIGRATED;
            case 5 -> DomainEvent.Kind.STOPPED_FAILED;
            default -> DomainEvent.Kind.STOPPED;
          };
      default -> DomainEvent.Kind.OTHER;
    };
  }

  /**
   * {@code virDomainState} and its reason.
   *
   * @param active whether the domain has a QEMU; libvirt calls one that is being started shut off
   */
  static DomainState state(int state, int reason, boolean active) {
    return switch (state) {
      case 1, 2 -> DomainState.RUNNING;
      case 3 -> paused(reason);
      case 5 -> active ? DomainState.STARTING_UP : DomainState.SHUT_OFF;
      default -> DomainState.OTHER;
    };
  }

  /** {@code virDomainPausedReason}. */
  private static DomainState paused(int reason) {
    return switch (reason) {
      case 2 -> DomainState.PAUSED_MIGRATION;
      case 5 -> DomainState.PAUSED_IO_ERROR;
      case 11 -> DomainState.STARTING_UP;
      case 12 -> DomainState.PAUSED_POSTCOPY;
      case 13 -> DomainState.PAUSED_POSTCOPY_FAILED;
      default -> DomainState.PAUSED;
    };
  }

  /** {@code virDomainJobType}. */
  static boolean jobActive(int type) {
    return type == JOB_BOUNDED || type == JOB_UNBOUNDED;
  }
}
