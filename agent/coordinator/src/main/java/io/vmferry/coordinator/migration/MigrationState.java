// SPDX-License-Identifier: Apache-2.0
package io.vmferry.coordinator.migration;

import java.util.EnumMap;
import java.util.Map;

/**
 * How far the migration of a domain is, as seen from this host, and the table of its changes. It is
 * shown to people, and tells an incoming domain from one that starts here; nothing that matters for
 * data depends on it.
 */
enum MigrationState {
  IDLE(0, "no migration"),
  /** Here is the destination; the volumes are standbys, or libvirt has a QEMU waiting. */
  RESERVED(1, "reserved: waiting for the guest"),
  /** Here is the source; first pass over the memory. */
  COPYING(2, "copying memory"),
  /** Here is the source; later passes. */
  COPYING_DIRTY(3, "copying dirty pages"),
  /** Here is the source; the guest is stopped. */
  STOPPED(4, "guest stopped at the source"),
  /** Here is the destination; the guest runs, its volumes are being taken over. */
  RESUMED(5, "guest resumed here, taking over its volumes"),
  /** Here was the source; the guest runs elsewhere. */
  LEFT(5, "guest resumed at the destination");

  /** What can happen to a migration. */
  enum Signal {
    /** Hook {@code migrate begin} answered: standbys are attached. */
    ATTACHED,
    /** libvirt started a QEMU for an incoming migration. */
    INCOMING_STARTED,
    FIRST_ITERATION,
    NEXT_ITERATION,
    /** SUSPENDED/MIGRATED or SUSPENDED/POSTCOPY. */
    STOPPED_TO_MIGRATE,
    /** RESUMED, with any detail. */
    RUNS,
    /** A takeover for a running guest began. */
    TAKEOVER_BEGAN,
    TAKEOVER_DONE,
    STOPPED_MIGRATED,
    /** STOPPED with any other detail. */
    ENDED,
    JOB_COMPLETED,
    /** Reconciliation: the guest runs here and libvirt has no job on it. */
    NO_JOB,
    /** Reconciliation: no QEMU of the domain here. */
    GONE
  }

  private static final Map<MigrationState, Map<Signal, MigrationState>> TABLE =
      new EnumMap<>(MigrationState.class);

  static {
    for (MigrationState state : values()) {
      TABLE.put(state, new EnumMap<>(Signal.class));
    }
    IDLE.on(Signal.ATTACHED, RESERVED);
    IDLE.on(Signal.INCOMING_STARTED, RESERVED);
    IDLE.on(Signal.FIRST_ITERATION, COPYING);
    IDLE.on(Signal.NEXT_ITERATION, COPYING_DIRTY);
    IDLE.on(Signal.STOPPED_TO_MIGRATE, STOPPED);
    IDLE.on(Signal.TAKEOVER_BEGAN, RESUMED);

    RESERVED.on(Signal.RUNS, RESUMED);
    RESERVED.on(Signal.TAKEOVER_BEGAN, RESUMED);
    // The relay was faster than libvirt's event: nothing is left to take over.
    RESERVED.on(Signal.TAKEOVER_DONE, IDLE);
    RESERVED.on(Signal.ENDED, IDLE);
    RESERVED.on(Signal.NO_JOB, IDLE);
    RESERVED.on(Signal.GONE, IDLE);
    // Leaves again: it was resumed here, and the event was missed.
    RESERVED.on(Signal.FIRST_ITERATION, COPYING);
    RESERVED.on(Signal.STOPPED_TO_MIGRATE, STOPPED);

    COPYING.on(Signal.NEXT_ITERATION, COPYING_DIRTY);
    COPYING.on(Signal.STOPPED_TO_MIGRATE, STOPPED);
    COPYING.on(Signal.STOPPED_MIGRATED, LEFT);
    COPYING.on(Signal.ENDED, IDLE);
    COPYING.on(Signal.JOB_COMPLETED, IDLE);
    COPYING.on(Signal.NO_JOB, IDLE);
    COPYING.on(Signal.GONE, IDLE);

    COPYING_DIRTY.on(Signal.FIRST_ITERATION, COPYING);
    COPYING_DIRTY.on(Signal.STOPPED_TO_MIGRATE, STOPPED);
    COPYING_DIRTY.on(Signal.STOPPED_MIGRATED, LEFT);
    COPYING_DIRTY.on(Signal.ENDED, IDLE);
    COPYING_DIRTY.on(Signal.JOB_COMPLETED, IDLE);
    COPYING_DIRTY.on(Signal.NO_JOB, IDLE);
    COPYING_DIRTY.on(Signal.GONE, IDLE);

    // RESUMED at the source is a roll-back whatever libvirt's detail says.
    STOPPED.on(Signal.RUNS, IDLE);
    STOPPED.on(Signal.STOPPED_MIGRATED, LEFT);
    STOPPED.on(Signal.ENDED, IDLE);
    STOPPED.on(Signal.JOB_COMPLETED, IDLE);
    STOPPED.on(Signal.NO_JOB, IDLE);
    STOPPED.on(Signal.GONE, IDLE);
    STOPPED.on(Signal.TAKEOVER_BEGAN, RESUMED);

    RESUMED.on(Signal.TAKEOVER_DONE, IDLE);
    RESUMED.on(Signal.ENDED, IDLE);
    RESUMED.on(Signal.GONE, IDLE);
    RESUMED.on(Signal.STOPPED_TO_MIGRATE, STOPPED);

    LEFT.on(Signal.JOB_COMPLETED, IDLE);
    LEFT.on(Signal.GONE, IDLE);
    LEFT.on(Signal.NO_JOB, IDLE);
    LEFT.on(Signal.ATTACHED, RESERVED);
    LEFT.on(Signal.INCOMING_STARTED, RESERVED);
  }

  private final int phase;
  private final String text;

  MigrationState(int phase, String text) {
    this.phase = phase;
    this.text = text;
  }

  private void on(Signal signal, MigrationState next) {
    TABLE.get(this).put(signal, next);
  }

  /** The state after a signal; the same state for a signal that means nothing in it. */
  MigrationState next(Signal signal) {
    return TABLE.get(this).getOrDefault(signal, this);
  }

  /** Phase 1 to 5 of a migration, 0 if there is none. */
  int phase() {
    return phase;
  }

  /** For people. */
  @Override
  public String toString() {
    return text;
  }
}
