// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.handover;

import com.google.protobuf.ByteString;
import io.vmferry.relay.copy.Compression;
import io.vmferry.relay.peer.PeerService;
import io.vmferry.relay.peer.WireIds;
import io.vmferry.relay.peer.wire.Frame;
import io.vmferry.relay.peer.wire.Refused;
import io.vmferry.relay.peer.wire.Role;
import io.vmferry.relay.volume.Volume;
import io.vmferry.relay.volume.Volumes;
import java.util.function.Consumer;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Hands what peers ask of this node to who carries it out, with the volume that it names, and turns
 * what is thrown into an answer. Requests arrive on any thread and are moved to the loop.
 */
public final class PeerRequests implements PeerService {
  private static final Logger log = LoggerFactory.getLogger(PeerRequests.class);

  private final Volumes volumes;
  private final Peers peers;
  private final OwnerHandover handover;
  private final ReplicaRequests replicas;
  private final ContentRequests content;

  public PeerRequests(
      Volumes volumes,
      Peers peers,
      OwnerHandover handover,
      StandbyHandover standbyHandover,
      Departures departures,
      Extension extension,
      Compression compression) {
    this.volumes = volumes;
    this.peers = peers;
    this.handover = handover;
    this.replicas =
        new ReplicaRequests(volumes, peers, handover, standbyHandover, departures, extension);
    this.content = new ContentRequests(volumes, handover, compression);
  }

  @Override
  public void handle(String peer, Role role, Frame request, Responder responder) {
    volumes.shared().loop().execute(() -> handleOnLoop(peer, request, responder));
  }

  private void handleOnLoop(String peer, Frame request, Responder responder) {
    if (responder.fenced()) {
      log.info(
          "{} of node {} came on a connection that it has replaced", request.getBodyCase(), peer);
      return;
    }
    try {
      carryOut(peer, request, responder);
    } catch (PeerRefusal refusal) {
      PeerAnswers.refuse(responder, refusal);
    } catch (IllegalArgumentException e) {
      log.warn("node {} sent a bad {}: {}", peer, request.getBodyCase(), e.getMessage());
      PeerAnswers.refuse(responder, new PeerRefusal(Refused.Code.BAD_REQUEST, e.getMessage()));
    } catch (RuntimeException e) {
      log.error("{} of node {} failed", request.getBodyCase(), peer, e);
      PeerAnswers.failed(responder, "internal error: " + e);
    }
  }

  private void carryOut(String peer, Frame frame, Responder responder) {
    switch (frame.getBodyCase()) {
      case LOCATE -> replicas.locate(frame.getLocate(), responder);
      case ATTACH -> {
        var request = frame.getAttach();
        replicas.attach(peer, find(request.getUuid()), request, responder);
      }
      case DETACH -> {
        var request = frame.getDetach();
        ifHere(
            request.getUuid(),
            responder,
            volume -> replicas.detach(peer, volume, request, responder));
      }
      case EXTEND -> {
        var request = frame.getExtend();
        replicas.extend(find(request.getUuid()), request, responder);
      }
      case DELETE ->
          ifHere(
              frame.getDelete().getUuid(), responder, volume -> replicas.delete(volume, responder));
      case TAKEOVER -> handover.takeover(peer, frame.getTakeover(), responder);
      case COMPLETE -> {
        var request = frame.getComplete();
        ifHere(
            request.getUuid(),
            responder,
            volume -> replicas.complete(peer, volume, request, responder));
      }
      case READ -> {
        var request = frame.getRead();
        Runnable again = () -> handle(peer, Role.BULK, frame, responder);
        content.read(peer, find(request.getUuid()), request, responder, again);
      }
      case HOLES -> {
        var request = frame.getHoles();
        content.holes(peer, find(request.getUuid()), request, responder);
      }
      case HEAT -> {
        var request = frame.getHeat();
        content.heat(peer, find(request.getUuid()), request, responder);
      }
      case PRE_COPY -> {
        var request = frame.getPreCopy();
        content.preCopy(peer, find(request.getUuid()), request, responder);
      }
      default ->
          throw new PeerRefusal(
              Refused.Code.UNSUPPORTED, "this release does not know " + frame.getBodyCase());
    }
  }

  private Volume find(ByteString uuid) {
    Volume volume = volumes.byUuid(WireIds.uuid(uuid));
    if (volume == null) {
      throw new PeerRefusal(
          Refused.Code.NOT_FOUND, "there is no such volume on node " + peers.self());
    }
    return volume;
  }

  /** What is to end with a volume that isn't here has ended. */
  private void ifHere(ByteString uuid, Responder responder, Consumer<Volume> request) {
    Volume volume = volumes.byUuid(WireIds.uuid(uuid));
    if (volume == null) {
      PeerAnswers.done(responder);
    } else {
      request.accept(volume);
    }
  }
}
