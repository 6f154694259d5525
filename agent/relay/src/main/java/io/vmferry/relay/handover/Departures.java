// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.handover;

import io.vmferry.api.Problem;
import io.vmferry.api.ProblemException;
import io.vmferry.relay.peer.WireIds;
import io.vmferry.relay.peer.wire.Complete;
import io.vmferry.relay.peer.wire.Detach;
import io.vmferry.relay.peer.wire.Frame;
import io.vmferry.relay.volume.Volume;
import io.vmferry.relay.volume.VolumeRecord;
import io.vmferry.relay.volume.Volumes;
import java.util.concurrent.CompletableFuture;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Deletes replicas, unless somebody still needs them, and tells who keeps track of them. Loop only.
 */
public final class Departures {
  private static final Logger log = LoggerFactory.getLogger(Departures.class);

  private final Volumes volumes;
  private final Peers peers;
  private final OpenTakeovers open;

  public Departures(Volumes volumes, Peers peers, OpenTakeovers open) {
    this.volumes = volumes;
    this.peers = peers;
    this.open = open;
  }

  /**
   * Deletes a replica. Fails with IN_USE or REFUSED if it is needed, with OWNER_UNREACHABLE if it
   * may be.
   */
  public CompletableFuture<Void> delete(Volume volume) {
    ProblemException needed = stillNeeded(volume);
    if (needed != null) {
      throw needed;
    }
    return open.close(volume)
        .thenCompose(closed -> volumes.delete(volume, () -> stillNeeded(volume)))
        .thenRun(() -> tellOthers(volume.record()));
  }

  private static ProblemException stillNeeded(Volume volume) {
    VolumeRecord record = volume.record();
    if (volume.clients() > 0) {
      return new ProblemException(
          Problem.Code.IN_USE,
          "volume "
              + record.name()
              + " is open ("
              + volume.describeClients()
              + "); shut that down, then delete it");
    }
    boolean mayBeRead =
        !volume.isOwner()
            && !volume.isForked()
            && record.held() != VolumeRecord.Held.NONE
            && record.completeAt() == null;
    if (mayBeRead) {
      return new ProblemException(
          Problem.Code.REFUSED,
          "node "
              + record.epoch().owner()
              + " still copies volume "
              + record.name()
              + " from here; delete it when 'vmferry status' shows it complete there");
    }
    return null;
  }

  private void tellOthers(VolumeRecord record) {
    if (record.origin() != null) {
      tell(
          record.origin().node(),
          Frame.newBuilder()
              .setComplete(
                  Complete.newBuilder()
                      .setUuid(WireIds.bytes(record.uuid()))
                      .setEpoch(WireIds.epoch(record.origin().epoch())))
              .build());
    }
    if (!record.epoch().owner().equals(peers.self())) {
      tell(
          record.epoch().owner(),
          Frame.newBuilder()
              .setDetach(Detach.newBuilder().setUuid(WireIds.bytes(record.uuid())))
              .build());
    }
  }

  /** Best effort: who misses it keeps a little too much. */
  private void tell(String node, Frame message) {
    CompletableFuture<Frame> unused =
        ControlCall.ask(
                peers.link(node), message, volumes.shared().loop(), (answer, payload) -> answer)
            .exceptionally(
                error -> {
                  log.info("node {} was not told of a deletion: {}", node, error.getMessage());
                  return null;
                });
  }
}
