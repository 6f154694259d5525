// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.handover;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.ByteBufAllocator;
import io.vmferry.api.Epoch;
import io.vmferry.relay.copy.Compression;
import io.vmferry.relay.map.HeatCodec;
import io.vmferry.relay.map.StaleMapCodec;
import io.vmferry.relay.peer.PeerService.Responder;
import io.vmferry.relay.peer.WireIds;
import io.vmferry.relay.peer.wire.Frame;
import io.vmferry.relay.peer.wire.Heat;
import io.vmferry.relay.peer.wire.HeatMap;
import io.vmferry.relay.peer.wire.HoleList;
import io.vmferry.relay.peer.wire.Holes;
import io.vmferry.relay.peer.wire.PreCopy;
import io.vmferry.relay.peer.wire.PreCopying;
import io.vmferry.relay.peer.wire.Read;
import io.vmferry.relay.peer.wire.Refused;
import io.vmferry.relay.store.BlockFile;
import io.vmferry.relay.volume.Volume;
import io.vmferry.relay.volume.VolumeRecord;
import io.vmferry.relay.volume.Volumes;

/**
 * What peers ask about the content of a volume: ranges of it, its holes, what the guest used last,
 * and to copy it before the handover. Throws {@link PeerRefusal}. Loop only.
 */
final class ContentRequests {
  /** Answers queued on one connection; above it, reads wait until the connection has sent some. */
  private static final long MAX_QUEUED = 4 << 20;

  /** Most holes that one answer lists, whatever the peer asks for. */
  private static final int MAX_HOLES = 8192;

  /** Part of the file that one question for holes looks at, so that none takes long: 64 GiB. */
  private static final long HOLE_SCAN = 64L << 30;

  private final Volumes volumes;
  private final OwnerHandover handover;
  private final Compression compression;

  ContentRequests(Volumes volumes, OwnerHandover handover, Compression compression) {
    this.volumes = volumes;
    this.handover = handover;
    this.compression = compression;
  }

  /**
   * Sends a range of the content.
   *
   * @param again asks again from the beginning; on any thread
   */
  void read(String peer, Volume volume, Read request, Responder responder, Runnable again) {
    long session = request.getPreCopy();
    Epoch epoch = request.hasEpoch() ? WireIds.epoch(request.getEpoch()) : null;
    ContentRules.checkMayRead(peer, volume, epoch, session);
    long offset = request.getOffset();
    long length = Integer.toUnsignedLong(request.getLength());
    ContentRules.checkLength(length);
    ContentRules.checkRange(volume, offset, length);
    if (responder.queuedBytes() > MAX_QUEUED) {
      responder.whenWritable(again);
      return;
    }
    if (session != 0) {
      // Before the content is looked at, so that a write that comes in between is not missed.
      volume.peerReads().sendInPreCopy(peer, offset, length);
    }
    ByteBuf buffer = ByteBufAllocator.DEFAULT.directBuffer((int) length, (int) length);
    volume
        .peerReads()
        .read(
            offset,
            (int) length,
            buffer,
            (data, error) -> {
              if (error != null) {
                PeerAnswers.failed(responder, error);
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

  /** Lists holes of the content, so that nobody has to read them. */
  void holes(String peer, Volume volume, Holes request, Responder responder) {
    long session = request.getPreCopy();
    ContentRules.checkMayRead(peer, volume, WireIds.epoch(request.getEpoch()), session);
    long size = volume.record().size();
    long start = request.getOffset();
    ContentRules.checkRange(volume, start, 0);
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
            PeerAnswers.failed(responder, error.getMessage());
          } else {
            responder.answer(Frame.newBuilder().setHoleList(list), null, true);
          }
        });
  }

  /** Tells what the guest used last: whoever fetches begins with that. */
  void heat(String peer, Volume volume, Heat request, Responder responder) {
    ContentRules.checkMayRead(
        peer, volume, WireIds.epoch(request.getEpoch()), request.getPreCopy());
    ByteBuf encoded = ByteBufAllocator.DEFAULT.buffer();
    HeatCodec.encode(volume.peerReads().heat(), encoded);
    responder.answer(Frame.newBuilder().setHeatMap(HeatMap.getDefaultInstance()), encoded, true);
  }

  /** A standby without a copy of its own wants to copy before the handover. */
  void preCopy(String peer, Volume volume, PreCopy request, Responder responder) {
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
            PeerAnswers.refuse(responder, refusal);
            return;
          }
          long session =
              volume.replicas().beginPreCopy(peer, request.getContinues(), volume.grid().blocks());
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
}
