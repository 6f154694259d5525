// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.volume;

import io.vmferry.relay.exec.DiskTasks;
import java.io.IOException;
import java.time.Duration;
import java.util.List;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The end of fetch mode. When the last block is held, everything is forced, then the record says so
 * durably, and only then is the journal of held blocks removed: a crash in between errs to
 * fetching. A handover that comes first wins. Loop only.
 */
final class Completion {
  private static final Logger log = LoggerFactory.getLogger(Completion.class);

  /** Until a force or commit that failed, for want of space for example, is tried again. */
  private static final Duration RETRY = Duration.ofSeconds(2);

  /** Who is told. */
  interface Host {
    /** The record says complete, durably: nothing more is fetched. */
    void complete(VolumeRecord complete);

    /** Everybody may know now. */
    void tell();
  }

  private final VolumeEnvironment shared;
  private final LocalReplica replica;
  private final Host host;
  private boolean underWay;

  Completion(VolumeEnvironment shared, LocalReplica replica, Host host) {
    this.shared = shared;
    this.replica = replica;
    this.host = host;
  }

  /** Begins if the last block is held; to be called whenever that may have become true. */
  void look() {
    if (underWay || replica.isStopped() || !mayComplete()) {
      return;
    }
    underWay = true;
    replica.durability().force(this::forced);
  }

  /** What a standby has copied is not up to date before its takeover, however much it is. */
  private boolean mayComplete() {
    return replica.record().held() == VolumeRecord.Held.JOURNAL
        && !replica.held().isComplete()
        && replica.held().isFull();
  }

  private void forced(IOException error) {
    if (error != null) {
      underWay = false;
      later(error);
    } else {
      shared.commits().<VolumeRecord>submit(this::plan, this::committed);
    }
  }

  private DiskTasks.Operation<VolumeRecord> plan() {
    if (replica.isStopped() || replica.held().isComplete()) {
      // A handover came first; whoever holds the volume then completes it.
      return null;
    }
    VolumeRecord complete = replica.record().completed();
    return () -> {
      shared.storage().commit(List.of(complete));
      return complete;
    };
  }

  private void committed(VolumeRecord complete, IOException error) {
    underWay = false;
    if (error != null) {
      later(error);
    } else if (complete == null) {
      look();
    } else {
      host.complete(complete);
      removeJournal(complete);
      host.tell();
    }
  }

  private void later(IOException error) {
    replica.brokenIfFailed(error);
    if (!replica.isStopped()) {
      VolumeRecord record = replica.record();
      VolumeLog.about(log.atWarn(), record)
          .log("volume {} is complete, but not durably: {}", record.name(), error.getMessage());
      shared.loop().after(RETRY, this::look);
    }
  }

  /** Unless a new takeover has begun another journal meanwhile. */
  private void removeJournal(VolumeRecord complete) {
    shared
        .commits()
        .<Void>submit(
            () ->
                replica.record().held() != VolumeRecord.Held.ALL
                    ? null
                    : () -> {
                      shared.storage().endFetching(complete);
                      return null;
                    },
            (nothing, error) -> {
              if (error != null) {
                VolumeLog.about(log.atWarn(), complete)
                    .log(
                        "volume {}: the journal of held blocks could not be removed: {}",
                        complete.name(),
                        error.getMessage());
              }
            });
  }
}
