// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.handover;

import io.vmferry.api.Problem;
import io.vmferry.api.ProblemException;
import io.vmferry.api.VolumeState;
import io.vmferry.relay.volume.Volume;
import io.vmferry.relay.volume.VolumeRecord;
import io.vmferry.relay.volume.Volumes;
import java.util.ArrayList;
import java.util.List;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;

/**
 * Gives standbys up that are not wanted any more: a new one is deleted, a retained copy becomes
 * RELEASED again. Loop only.
 */
final class StandbyDrop {
  private final Volumes volumes;
  private final OpenTakeovers open;
  private final StandbyRecords records;

  StandbyDrop(Volumes volumes, OpenTakeovers open, StandbyRecords records) {
    this.volumes = volumes;
    this.open = open;
    this.records = records;
  }

  /**
   * Drops the standbys of a domain. Those with a client, those that may have been made owner, and
   * volumes in other states stay.
   */
  CompletableFuture<Void> drop(UUID domain) {
    List<CompletableFuture<Void>> drops = new ArrayList<>();
    for (Volume standby : volumes.standbysOf(domain)) {
      if (standby.clients() > 0) {
        throw new ProblemException(
            Problem.Code.IN_USE,
            "volume "
                + standby.record().name()
                + " is still open here ("
                + standby.describeClients()
                + "); it can be dropped when that has ended");
      }
      drops.add(drop(standby));
    }
    return CompletableFuture.allOf(drops.toArray(CompletableFuture[]::new));
  }

  /** Drops one, as soon as it is known that it was not made owner. */
  CompletableFuture<Void> drop(Volume standby) {
    return undo(standby, null);
  }

  /**
   * Drops one whose attachment didn't come to an end. If it was a retained replica, it is that
   * again, of the domain that it belonged to: a guest that uses it will ask for all the domain's
   * volumes.
   */
  CompletableFuture<Void> undo(Volume standby, UUID domainBefore) {
    return open.close(standby).thenCompose(closed -> dropClosed(standby, domainBefore));
  }

  private CompletableFuture<Void> dropClosed(Volume standby, UUID domainBefore) {
    if (standby.record().held() == VolumeRecord.Held.NONE) {
      boolean copied = standby.preCopy().session() != 0;
      return volumes
          .delete(standby, () -> noLongerDroppable(standby))
          .thenRun(
              () -> {
                if (copied) {
                  open.tellGone(standby.record());
                }
              });
    }
    return records.change(
        standby,
        () -> {
          boolean droppable = standby.record().state() == VolumeState.STANDBY;
          return droppable && !open.isOpen(standby)
              ? standby.record().dropped().withDomain(domainBefore)
              : null;
        });
  }

  private ProblemException noLongerDroppable(Volume standby) {
    return standby.record().state() == VolumeState.STANDBY && !open.isOpen(standby)
        ? null
        : new ProblemException(
            Problem.Code.REFUSED,
            "volume " + standby.record().name() + " was taken over meanwhile; nothing to drop");
  }
}
