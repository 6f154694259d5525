// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.handover;

import io.vmferry.api.Epoch;
import io.vmferry.api.ProblemException;
import io.vmferry.api.VolumeState;
import io.vmferry.api.VolumeStatus;
import io.vmferry.relay.peer.PeerService.Responder;
import io.vmferry.relay.peer.WireIds;
import io.vmferry.relay.peer.wire.Attach;
import io.vmferry.relay.peer.wire.Attached;
import io.vmferry.relay.peer.wire.Complete;
import io.vmferry.relay.peer.wire.Detach;
import io.vmferry.relay.peer.wire.Extend;
import io.vmferry.relay.peer.wire.Frame;
import io.vmferry.relay.peer.wire.Locate;
import io.vmferry.relay.peer.wire.Located;
import io.vmferry.relay.peer.wire.Refused;
import io.vmferry.relay.peer.wire.Replica;
import io.vmferry.relay.volume.Volume;
import io.vmferry.relay.volume.VolumeLog;
import io.vmferry.relay.volume.VolumeRecord;
import io.vmferry.relay.volume.Volumes;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.function.Supplier;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * What peers ask about a volume as a whole: where it is, to attach and detach their replicas of it,
 * that theirs is complete, and what is asked for by name at another node. Throws {@link
 * PeerRefusal}. Loop only.
 */
final class ReplicaRequests {
  private static final Logger log = LoggerFactory.getLogger(ReplicaRequests.class);

  private final Volumes volumes;
  private final Peers peers;
  private final OwnerHandover handover;
  private final StandbyHandover standbyHandover;
  private final Departures departures;
  private final Extension extension;

  ReplicaRequests(
      Volumes volumes,
      Peers peers,
      OwnerHandover handover,
      StandbyHandover standbyHandover,
      Departures departures,
      Extension extension) {
    this.volumes = volumes;
    this.peers = peers;
    this.handover = handover;
    this.standbyHandover = standbyHandover;
    this.departures = departures;
    this.extension = extension;
  }

  /** Which replicas of these names are here. */
  void locate(Locate request, Responder responder) {
    Located.Builder located = Located.newBuilder();
    for (String name : request.getNamesList()) {
      Volume volume = volumes.byName(name);
      if (volume != null && volume.failure() == null) {
        located.addReplicas(describe(volume));
      }
    }
    responder.answer(Frame.newBuilder().setLocated(located), null, true);
  }

  /** What peers are told about a replica. */
  static Replica describe(Volume volume) {
    VolumeRecord record = volume.record();
    VolumeStatus status = volume.status();
    boolean fetching = record.state() == VolumeState.FETCHING;
    return Replica.newBuilder()
        .setName(record.name())
        .setUuid(WireIds.bytes(record.uuid()))
        .setSize(record.size())
        .setEpoch(WireIds.epoch(record.epoch()))
        .setState(record.state().name())
        .setAllocated(status.allocated())
        .setClients(volume.clients())
        .setOrigin(fetching && record.origin() != null ? record.origin().node() : "")
        .setMissing(fetching ? record.size() - status.present() : 0)
        .setContent(volume.isOwner() ? volume.contentTag() : "")
        .build();
  }

  /** A node wants to be told of the volume, and maybe to take it over. */
  void attach(String peer, Volume volume, Attach request, Responder responder) {
    VolumeRecord record = volume.record();
    boolean releasedToUs =
        record.state() == VolumeState.STANDBY
            && record.epoch().owner().equals(peer)
            && request.hasEpoch()
            && WireIds.epoch(request.getEpoch()).equals(record.epoch().next(peers.self()));
    if (releasedToUs) {
      standbyHandover.adopt(volume);
      throw new PeerRefusal(
          Refused.Code.BUSY,
          "node " + peers.self() + " completes its takeover of " + record.name() + "; ask again");
    }
    if (volume.isForked()) {
      throw new PeerRefusal(Refused.Code.FAILED, volume.record().forkSentence());
    }
    if (!volume.isOwner()) {
      throw new PeerRefusal(
          Refused.Code.NOT_OWNER,
          "volume " + record.name() + " is owned by node " + record.epoch().owner());
    }
    OwnerHandover.requireNoSource(record);
    if (extension.isGrowing(volume)) {
      throw new PeerRefusal(
          Refused.Code.BUSY, "volume " + record.name() + " is being extended; ask again");
    }
    boolean current =
        request.hasEpoch() && WireIds.epoch(request.getEpoch()).equals(record.epoch());
    if (!current && !volume.replicas().isPreCopying(peer, request.getPreCopy())) {
      // Whatever it has is from another epoch: all of it is stale.
      volume.replicas().remove(peer);
    }
    VolumeLog.about(log.atInfo(), record, peer)
        .log("volume {}: node {} attached a standby", record.name(), peer);
    responder.answer(
        Frame.newBuilder().setAttached(Attached.newBuilder().setReplica(describe(volume))),
        null,
        true);
  }

  /** A node's standby is gone. */
  void detach(String peer, Volume volume, Detach request, Responder responder) {
    VolumeRecord released = volume.record();
    if (released.state() == VolumeState.RELEASED && released.epoch().owner().equals(peer)) {
      throw new PeerRefusal(
          Refused.Code.RELEASED,
          "volume "
              + released.name()
              + " was released to node "
              + peer
              + " in epoch "
              + released.epoch().number());
    }
    if (handover.isBusy(volume)) {
      throw new PeerRefusal(
          Refused.Code.BUSY, "a takeover of " + released.name() + " is under way; ask again");
    }
    if (request.getKeepsReplica()) {
      PeerAnswers.done(responder);
      return;
    }
    volume.replicas().remove(peer);
    volumes.note(
        volume,
        record -> record.withoutReplica(peer),
        (record, error) -> PeerAnswers.done(responder));
  }

  /** The new owner holds everything. */
  void complete(String peer, Volume volume, Complete request, Responder responder) {
    Epoch epoch = WireIds.epoch(request.getEpoch());
    volumes.note(
        volume,
        record ->
            mayComplete(record, peer, epoch)
                ? record.completeAt(peer, volumes.shared().wallClock().instant())
                : record,
        (record, error) -> {
          if (error != null) {
            PeerAnswers.failed(responder, error.getMessage());
          } else {
            PeerAnswers.done(responder);
          }
        });
  }

  /** Only the owner of just that epoch; the replica may have been attached again meanwhile. */
  private static boolean mayComplete(VolumeRecord record, String peer, Epoch epoch) {
    boolean replica =
        record.state() == VolumeState.RELEASED || record.state() == VolumeState.STANDBY;
    return replica && record.epoch().equals(epoch) && epoch.owner().equals(peer);
  }

  void extend(Volume volume, Extend request, Responder responder) {
    answerWhenDone(() -> extension.extend(volume, request.getSize()), responder);
  }

  void delete(Volume volume, Responder responder) {
    answerWhenDone(() -> departures.delete(volume), responder);
  }

  /** Somebody asked another node, which passes on our answer in our words. */
  private static void answerWhenDone(
      Supplier<CompletableFuture<Void>> operation, Responder responder) {
    CompletableFuture<Void> result;
    try {
      result = operation.get();
    } catch (ProblemException e) {
      throw new PeerRefusal(Refused.Code.FAILED, e.getMessage());
    }
    var unused =
        result.whenComplete(
            (nothing, error) -> {
              if (error == null) {
                PeerAnswers.done(responder);
              } else {
                Throwable cause = error instanceof CompletionException ? error.getCause() : error;
                PeerAnswers.failed(responder, cause.getMessage());
              }
            });
  }
}
