// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.volume;

import io.vmferry.api.VolumeState;
import io.vmferry.config.PreCopyMode;

/**
 * Whether and how a replica copies before the handover: while it is a standby without a copy of its
 * own, with one {@link PreCopy} per owner, epoch and mode. Loop only.
 */
public final class StandbyPreCopy {
  private final VolumeEnvironment shared;
  private final LocalReplica replica;
  private PreCopyMode mode;
  private PreCopy copy;

  StandbyPreCopy(VolumeEnvironment shared, LocalReplica replica) {
    this.shared = shared;
    this.replica = replica;
    this.mode = shared.preCopyMode().get();
  }

  /**
   * What this standby copies before the handover. Of one that has a retained copy only what was
   * written since is missing, and nothing is copied.
   */
  public void mode(PreCopyMode wanted) {
    if (wanted != mode) {
      mode = wanted;
      stop();
      begin();
    }
  }

  /** The session in which this standby copies, as the owner knows it; 0 for none. */
  public long session() {
    return copy == null ? 0 : copy.session();
  }

  /** State, epoch or handover changed: begins, goes on or ends as is right now. */
  void arrange() {
    if (copy != null && !copy.epoch().equals(replica.record().epoch())) {
      stop();
    }
    begin();
  }

  void stop() {
    if (copy != null) {
      copy.stop();
      copy = null;
    }
  }

  /** The control connection to a peer is up again. */
  void linkUp(String node) {
    if (copy != null && copy.epoch().owner().equals(node)) {
      copy.linkUp();
    }
  }

  private void begin() {
    VolumeRecord record = replica.record();
    boolean empty = record.held() == VolumeRecord.Held.NONE;
    if (copy != null
        || mode == PreCopyMode.NONE
        || record.state() != VolumeState.STANDBY
        || !empty
        || replica.isStopped()) {
      return;
    }
    String owner = record.epoch().owner();
    copy =
        new PreCopy(
            replica,
            shared.origin(owner, record.uuid(), null),
            shared.lanes().apply(owner),
            mode,
            shared.loop());
    copy.linkUp();
  }
}
