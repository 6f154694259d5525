// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.handover;

import com.google.protobuf.ByteString;
import io.netty.buffer.ByteBuf;
import io.netty.buffer.ByteBufAllocator;
import io.vmferry.api.Epoch;
import io.vmferry.api.ProblemException;
import io.vmferry.api.VolumeState;
import io.vmferry.api.VolumeStatus;
import io.vmferry.relay.copy.Compression;
import io.vmferry.relay.copy.Origin;
import io.vmferry.relay.map.HeatCodec;
import io.vmferry.relay.map.StaleMapCodec;
import io.vmferry.relay.peer.PeerService;
import io.vmferry.relay.peer.WireIds;
import io.vmferry.relay.peer.wire.Attach;
import io.vmferry.relay.peer.wire.Attached;
import io.vmferry.relay.peer.wire.Complete;
import io.vmferry.relay.peer.wire.Delete;
import io.vmferry.relay.peer.wire.Detach;
import io.vmferry.relay.peer.wire.Done;
import io.vmferry.relay.peer.wire.Extend;
import io.vmferry.relay.peer.wire.Frame;
import io.vmferry.relay.peer.wire.Heat;
import io.vmferry.relay.peer.wire.HeatMap;
import io.vmferry.relay.peer.wire.HoleList;
import io.vmferry.relay.peer.wire.Holes;
import io.vmferry.relay.peer.wire.Locate;
import io.vmferry.relay.peer.wire.Located;
import io.vmferry.relay.peer.wire.PreCopy;
import io.vmferry.relay.peer.wire.PreCopying;
import io.vmferry.relay.peer.wire.Read;
import io.vmferry.relay.peer.wire.Refused;
import io.vmferry.relay.peer.wire.Replica;
import io.vmferry.relay.peer.wire.Role;
import io.vmferry.relay.store.BlockFile;
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
 * Executes what peers ask of this node. Requests arrive on any thread and are moved to the loop.
 */
public final class PeerRequests implements PeerService {
  private static final Logger log = LoggerFactory.getLogger(PeerRequests.class);

  /** Answers queued on one connection; above it, reads wait until the connection has sent some. */
  private static final long MAX_QUEUED = 4 << 20;

  /** Most holes that one answer lists, whatever the peer asks for. */
  private static final int MAX_HOLES = 8192;

  /** Part of the file that one question for holes looks at, so that none takes long: 64 GiB. */
  private static final long HOLE_SCAN = 64L << 30;

  private final Volumes volumes;
  private final Peers peers;
  private final OwnerHandover handover;
  private final StandbyHandover standbyHandover;
  private final Compression compression;
  private final Departures departures;
  private final Extension extension;

  public PeerRequests(
      Volumes volumes,
      Peers peers,
      OwnerHandover handover,
      StandbyHandover standbyHandover,
      Departures departures,
      Extension extension,
      Compression compression) {
    this.departures = departures;
    this.extension = extension;
    this.compression = compression;
    this.standbyHandover = standbyHandover;
    this.volumes = volumes;
    this.peers = peers;
    this.handover = handover;
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
      switch (request.getBodyCase()) {
        case LOCATE -> locate(request.getLocate(), responder);
        case ATTACH -> attach(peer, request.getAttach(), responder);
        case DETACH -> detach(peer, request.getDetach(), responder);
        case EXTEND -> extend(request.getExtend(), responder);
        case DELETE -> delete(request.getDelete(), responder);
        case TAKEOVER -> handover.takeover(peer, request.getTakeover(), responder);
        case COMPLETE -> complete(peer, request.getComplete(), responder);
        case READ -> read(peer, request.getRead(), responder);
        case HOLES -> holes(peer, request.getHoles(), responder);
        case HEAT -> heat(peer, request.getHeat(), responder);
        case PRE_COPY -> preCopy(peer, request.getPreCopy(), responder);
        default ->
            throw new PeerRefusal(
                Refused.Code.UNSUPPORTED, "this release does not know " + request.getBodyCase());
      }
    } catch (PeerRefusal refusal) {
      refuse(responder, refusal);
    } catch (IllegalArgumentException e) {
      log.warn("node {} sent a bad {}: {}", peer, request.getBodyCase(), e.getMessage());
      refuse(responder, new PeerRefusal(Refused.Code.BAD_REQUEST, e.getMessage()));
    } catch (RuntimeException e) {
      log.error("{} of node {} failed", request.getBodyCase(), peer, e);
      refuse(responder, new PeerRefusal(Refused.Code.FAILED, "internal error: " + e));
    }
  }

  private static void refuse(Responder responder, PeerRefusal refusal) {
    responder.answer(Frame.newBuilder().setRefused(refusal.toWire()), null, true);
  }

  private void locate(Locate request, Responder responder) {
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

  private void attach(String peer, Attach request, Responder responder) {
    Volume volume = find(request.getUuid());
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

  private void detach(String peer, Detach request, Responder responder) {
    Volume volume = volumes.byUuid(WireIds.uuid(request.getUuid()));
    if (volume == null) {
      done(responder);
      return;
    }
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
      done(responder);
      return;
    }
    volume.replicas().remove(peer);
    volumes.note(volume, record -> record.withoutReplica(peer), (record, error) -> done(responder));
  }

  private void extend(Extend request, Responder responder) {
    answerWhenDone(() -> extension.extend(find(request.getUuid()), request.getSize()), responder);
  }

  private void delete(Delete request, Responder responder) {
    Volume volume = volumes.byUuid(WireIds.uuid(request.getUuid()));
    if (volume == null) {
      done(responder);
    } else {
      answerWhenDone(() -> departures.delete(volume), responder);
    }
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
                done(responder);
              } else {
                Throwable cause = error instanceof CompletionException ? error.getCause() : error;
                refuse(responder, new PeerRefusal(Refused.Code.FAILED, cause.getMessage()));
              }
            });
  }

  private void complete(String peer, Complete request, Responder responder) {
    Volume volume = volumes.byUuid(WireIds.uuid(request.getUuid()));
    if (volume == null) {
      done(responder);
      return;
    }
    Epoch epoch = WireIds.epoch(request.getEpoch());
    volumes.note(
        volume,
        record ->
            mayComplete(record, peer, epoch)
                ? record.completeAt(peer, volumes.shared().wallClock().instant())
                : record,
        (record, error) -> {
          if (error != null) {
            refuse(responder, new PeerRefusal(Refused.Code.FAILED, error.getMessage()));
          } else {
            done(responder);
          }
        });
  }

  /** Only the owner of just that epoch; the replica may have been attached again meanwhile. */
  private static boolean mayComplete(VolumeRecord record, String peer, Epoch epoch) {
    boolean replica =
        record.state() == VolumeState.RELEASED || record.state() == VolumeState.STANDBY;
    return replica && record.epoch().equals(epoch) && epoch.owner().equals(peer);
  }

  private static void done(Responder responder) {
    responder.answer(Frame.newBuilder().setDone(Done.getDefaultInstance()), null, true);
  }

  // ---- data

  private void read(String peer, Read request, Responder responder) {
    Volume volume = find(request.getUuid());
    long session = request.getPreCopy();
    if (session == 0) {
      checkMayRead(peer, volume, request.hasEpoch() ? WireIds.epoch(request.getEpoch()) : null);
    } else {
      checkMayPreCopy(peer, volume, session);
    }
    long offset = request.getOffset();
    long length = Integer.toUnsignedLong(request.getLength());
    if (length == 0 || length > Origin.MAX_READ) {
      throw new PeerRefusal(
          Refused.Code.BAD_REQUEST, "a read has 1 byte to 1 MiB, not " + length + " bytes");
    }
    checkRange(volume, offset, length);
    if (responder.queuedBytes() > MAX_QUEUED) {
      Frame again = Frame.newBuilder().setRead(request).build();
      responder.whenWritable(() -> handle(peer, Role.BULK, again, responder));
      return;
    }
    if (session != 0) {
      // Before the content is looked at, so that a write that comes in between is not missed.
      volume.peerReads().sendInPreCopy(peer, offset, length);
    }
    ByteBuf buffer = ByteBufAllocator.DEFAULT.directBuffer((int) length, (int) length);
    volume.peerReads().read(
        offset,
        (int) length,
        buffer,
        (data, error) -> {
          if (error != null) {
            refuse(responder, new PeerRefusal(Refused.Code.FAILED, error));
          } else {
            send(request, data, responder);
          }
        });
  }

  private void send(Read request, ByteBuf data, Responder responder) {
    long offset = request.getOffset();
    boolean compress = request.getZstd() && data.readableBytes() >= Compression.MIN_BYTES;
    if (!compress
        || !compression.submit(
            () -> new ExtentSender(offset, data, responder, compression).send())) {
      new ExtentSender(offset, data, responder, null).send();
    }
  }

  /**
   * Content belongs to an epoch. The owner's changes: it is for a standby that passes it through,
   * and names no epoch. A released replica's is frozen: it is for whoever fetches in just that
   * epoch. A fork's is for nobody.
   */
  private static void checkMayRead(String peer, Volume volume, Epoch epoch) {
    VolumeRecord record = volume.record();
    if (volume.isForked()) {
      throw new PeerRefusal(Refused.Code.FAILED, volume.record().forkSentence());
    }
    boolean may =
        epoch == null
            ? volume.isOwner() || record.epoch().owner().equals(peer)
            : !volume.isOwner() && record.epoch().equals(epoch);
    if (!may) {
      throw new PeerRefusal(
          Refused.Code.WRONG_EPOCH,
          "volume "
              + record.name()
              + " is "
              + record.state()
              + " in epoch "
              + record.epoch()
              + " here; its content is not that of "
              + (epoch == null ? "the owner" : "epoch " + epoch));
    }
  }

  /** Content that may change, for a standby of which this node knows what of it is stale. */
  private static void checkMayPreCopy(String peer, Volume volume, long session) {
    if (!volume.isOwner() || !volume.replicas().isPreCopying(peer, session)) {
      throw new PeerRefusal(
          Refused.Code.WRONG_EPOCH,
          "volume "
              + volume.record().name()
              + " is not copied to node "
              + peer
              + " in that session any more; begin another one");
    }
  }

  /** A standby without a copy of its own wants to copy before the handover. */
  private void preCopy(String peer, PreCopy request, Responder responder) {
    Volume volume = find(request.getUuid());
    Epoch epoch = WireIds.epoch(request.getEpoch());
    checkMayBegin(volume, epoch);
    // A map that is kept for a copy which that node once had: it has none now, and after a restart
    // the map of back then would be taken for that of what is copied.
    volumes.note(
        volume,
        record -> record.withoutReplica(peer),
        (record, error) -> {
          try {
            checkMayBegin(volume, epoch);
            if (error != null) {
              throw new PeerRefusal(Refused.Code.FAILED, error.getMessage());
            }
          } catch (PeerRefusal refusal) {
            refuse(responder, refusal);
            return;
          }
          long session =
              volume
                  .replicas()
                  .beginPreCopy(peer, request.getContinues(), volume.grid().blocks());
          ByteBuf stale = ByteBufAllocator.DEFAULT.buffer();
          StaleMapCodec.encode(volume.replicas().stale(peer), stale);
          responder.answer(
              Frame.newBuilder().setPreCopying(PreCopying.newBuilder().setSession(session)),
              stale,
              true);
        });
  }

  private void checkMayBegin(Volume volume, Epoch epoch) {
    VolumeRecord record = volume.record();
    if (volume.failure() != null) {
      throw new PeerRefusal(Refused.Code.FAILED, volume.failure());
    }
    if (!volume.isOwner() || !record.epoch().equals(epoch)) {
      throw new PeerRefusal(
          Refused.Code.WRONG_EPOCH,
          "volume " + record.name() + " is " + record.state() + " in epoch " + record.epoch());
    }
    if (handover.isBusy(volume)) {
      throw new PeerRefusal(
          Refused.Code.BUSY,
          "volume " + record.name() + " is changing its owner or its size; ask again");
    }
  }

  private static void checkRange(Volume volume, long offset, long length) {
    long size = volume.record().size();
    if (offset < 0 || offset > size || length > size - offset) {
      throw new PeerRefusal(
          Refused.Code.BAD_REQUEST,
          "the range " + offset + "+" + length + " is outside of the volume's " + size + " bytes");
    }
  }

  private void holes(String peer, Holes request, Responder responder) {
    Volume volume = find(request.getUuid());
    long session = request.getPreCopy();
    if (session == 0) {
      checkMayRead(peer, volume, WireIds.epoch(request.getEpoch()));
    } else {
      checkMayPreCopy(peer, volume, session);
    }
    long size = volume.record().size();
    long start = request.getOffset();
    checkRange(volume, start, 0);
    BlockFile file = volume.peerReads().fileForHoles();
    if (file == null || start == size) {
      // While blocks are missing here, a hole in the file says nothing.
      HoleList nothing = HoleList.newBuilder().setNextOffset(size).build();
      responder.answer(Frame.newBuilder().setHoleList(nothing), null, true);
      return;
    }
    int most = (int) Math.min(MAX_HOLES, Integer.toUnsignedLong(request.getMaxExtents()));
    HoleList.Builder list = HoleList.newBuilder().setNextOffset(start);
    long length = Math.min(HOLE_SCAN, size - start);
    if (session != 0) {
      volume.peerReads().sendInPreCopy(peer, start, length);
    }
    file.extents(
        start,
        length,
        (offset, bytes, hole) -> {
          if (hole) {
            list.addExtents(offset).addExtents(bytes);
          }
          list.setNextOffset(offset + bytes);
          return list.getExtentsCount() / 2 < most;
        },
        error -> {
          if (error != null) {
            refuse(responder, new PeerRefusal(Refused.Code.FAILED, error.getMessage()));
          } else {
            responder.answer(Frame.newBuilder().setHoleList(list), null, true);
          }
        });
  }

  private void heat(String peer, Heat request, Responder responder) {
    Volume volume = find(request.getUuid());
    if (request.getPreCopy() == 0) {
      checkMayRead(peer, volume, WireIds.epoch(request.getEpoch()));
    } else {
      checkMayPreCopy(peer, volume, request.getPreCopy());
    }
    ByteBuf encoded = ByteBufAllocator.DEFAULT.buffer();
    HeatCodec.encode(volume.peerReads().heat(), encoded);
    responder.answer(Frame.newBuilder().setHeatMap(HeatMap.getDefaultInstance()), encoded, true);
  }

  private Volume find(ByteString uuid) {
    Volume volume = volumes.byUuid(WireIds.uuid(uuid));
    if (volume == null) {
      throw new PeerRefusal(
          Refused.Code.NOT_FOUND, "there is no such volume on node " + peers.self());
    }
    return volume;
  }
}
