// SPDX-License-Identifier: Apache-2.0
package io.vmferry.coordinator.migration;

import io.vmferry.api.Timeline;
import io.vmferry.coordinator.hypervisor.DomainEvent;
import io.vmferry.coordinator.migration.MigrationState.Signal;
import java.util.Map;
import java.util.Set;
import java.util.UUID;
import java.util.concurrent.ConcurrentHashMap;

/**
 * The {@link MigrationState} of every domain. Changed on the coordinator's thread, read anywhere.
 */
final class Migrations {
  private final Timeline timeline;
  private final Map<UUID, Migration> migrations = new ConcurrentHashMap<>();

  /**
   * A migration that is not over.
   *
   * @param name of the domain
   */
  private record Migration(String name, MigrationState state) {}

  Migrations(Timeline timeline) {
    this.timeline = timeline;
  }

  MigrationState state(UUID domain) {
    Migration migration = migrations.get(domain);
    return migration == null ? MigrationState.IDLE : migration.state();
  }

  /** Domains whose migration is not over, a copy. */
  Set<UUID> underWay() {
    return Set.copyOf(migrations.keySet());
  }

  /** Applies an event of libvirt. */
  void event(DomainEvent event) {
    Signal signal =
        switch (event.kind()) {
          case STARTED_MIGRATED -> Signal.INCOMING_STARTED;
          case MIGRATION_ITERATION ->
              event.number() <= 1 ? Signal.FIRST_ITERATION : Signal.NEXT_ITERATION;
          case SUSPENDED_MIGRATED, SUSPENDED_POSTCOPY -> Signal.STOPPED_TO_MIGRATE;
          case RESUMED, RESUMED_MIGRATED, RESUMED_POSTCOPY -> Signal.RUNS;
          case STOPPED_MIGRATED -> Signal.STOPPED_MIGRATED;
          case STOPPED, STOPPED_FAILED -> Signal.ENDED;
          case JOB_COMPLETED -> Signal.JOB_COMPLETED;
          case DEFINED, UNDEFINED, STARTED, SUSPENDED, SUSPENDED_IO_ERROR, IO_ERROR, OTHER -> null;
        };
    if (signal != null) {
      signal(event.domain(), event.name(), signal);
    }
  }

  /** Reconciliation found something out about a migration that is not over. */
  void found(UUID domain, Signal signal) {
    Migration migration = migrations.get(domain);
    if (migration != null) {
      signal(domain, migration.name(), signal);
    }
  }

  void signal(UUID domain, String name, Signal signal) {
    MigrationState before = state(domain);
    MigrationState after = before.next(signal);
    if (after == before) {
      return;
    }
    if (after == MigrationState.IDLE) {
      migrations.remove(domain);
    } else {
      migrations.put(domain, new Migration(name, after));
    }
    timeline.add(name, "phase", after.phase() + ": " + describe(before, after, signal));
  }

  private static String describe(MigrationState before, MigrationState after, Signal signal) {
    if (after != MigrationState.IDLE) {
      return after.toString();
    }
    return switch (signal) {
      case TAKEOVER_DONE -> "the volumes are taken over";
      case RUNS -> "rolled back: the guest runs at the source again";
      case JOB_COMPLETED -> "migration completed";
      case NO_JOB -> "migration ended, the guest runs here";
      case ENDED, GONE ->
          before == MigrationState.LEFT ? "migration completed" : "migration ended, no guest here";
      default -> after.toString();
    };
  }
}
