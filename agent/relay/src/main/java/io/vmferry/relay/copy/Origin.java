// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.copy;

import com.google.protobuf.ByteString;
import io.netty.buffer.ByteBuf;
import io.vmferry.api.Epoch;
import io.vmferry.relay.exec.Loop;
import io.vmferry.relay.map.BlockMap;
import io.vmferry.relay.map.HeatCodec;
import io.vmferry.relay.map.HeatRanks;
import io.vmferry.relay.map.MalformedMapException;
import io.vmferry.relay.map.StaleMapCodec;
import io.vmferry.relay.peer.Crc32c;
import io.vmferry.relay.peer.PeerLink;
import io.vmferry.relay.peer.WireIds;
import io.vmferry.relay.peer.wire.Extent;
import io.vmferry.relay.peer.wire.Frame;
import io.vmferry.relay.peer.wire.Heat;
import io.vmferry.relay.peer.wire.HoleList;
import io.vmferry.relay.peer.wire.Holes;
import io.vmferry.relay.peer.wire.PreCopy;
import io.vmferry.relay.peer.wire.Read;
import io.vmferry.relay.peer.wire.Refused;
import io.vmferry.relay.peer.wire.Role;
import java.util.UUID;

/**
 * One volume at the node that has the blocks this replica lacks. Checks every answer (place, order,
 * checksum) before it hands it on. Loop only.
 */
public final class Origin implements BlockSource {
  /** Largest range of one request: big enough to be efficient, small enough to share a link. */
  public static final int MAX_READ = 1 << 20;

  /** Holes per answer: some 10 KiB, and all holes of most volumes. */
  private static final int MAX_HOLES = 1024;

  private final PeerLink link;
  private final ByteString uuid;
  private final Epoch epoch;
  private final long session;
  private final Loop loop;

  /** Receives the answer to one read, in ascending order, and then its end. */
  public interface Sink {
    /**
     * Checked data; the buffer is valid during the call.
     *
     * @param onWire bytes that travelled for it
     */
    void data(long offset, ByteBuf data, int onWire);

    /** A range that reads as zeroes and was not sent. */
    void zeroes(long offset, int length);

    /** The end: null when the whole range was delivered, otherwise why the rest wasn't. */
    void end(Exception error);
  }

  /**
   * The volume as its former owner has it, or as its owner has it now.
   *
   * @param epoch the epoch that the content is frozen in; null to read what the owner has now
   */
  public Origin(PeerLink link, UUID uuid, Epoch epoch, Loop loop) {
    this(link, WireIds.bytes(uuid), epoch, 0, loop);
  }

  private Origin(PeerLink link, ByteString uuid, Epoch epoch, long session, Loop loop) {
    this.link = link;
    this.uuid = uuid;
    this.epoch = epoch;
    this.session = session;
    this.loop = loop;
  }

  @Override
  public String name() {
    return "node " + link.node();
  }

  /** The owner's content as a standby copies it before the handover, in that session. */
  public Origin inPreCopy(long newSession) {
    return new Origin(link, uuid, null, newSession, loop);
  }

  @Override
  public boolean up() {
    return link.up();
  }

  @Override
  public String waitingFor() {
    return link.up()
        ? null
        : "the link to node " + link.node() + " (" + link.problem() + "); it reconnects by itself";
  }

  @Override
  public void read(Role role, long offset, int length, boolean compressed, Sink sink) {
    Read.Builder read =
        Read.newBuilder()
            .setUuid(uuid)
            .setOffset(offset)
            .setLength(length)
            .setZstd(compressed)
            .setPreCopy(session);
    if (epoch != null) {
      read.setEpoch(WireIds.epoch(epoch));
    }
    Frame request = Frame.newBuilder().setRead(read).build();
    link.call(role, request, loop, new ReadAnswer(offset, offset + length, compressed, sink));
  }

  /** Receives a part of the list of holes. */
  public interface HoleSink {
    /** A range that reads as zeroes; its bounds are those of the file system, not of blocks. */
    void hole(long offset, long length);

    /** The end of this part: go on at {@code next}, which is the size after the last part. */
    void end(long next, Exception error);
  }

  @Override
  public void holes(long offset, long size, HoleSink sink) {
    Holes.Builder holes =
        Holes.newBuilder()
            .setUuid(uuid)
            .setOffset(offset)
            .setMaxExtents(MAX_HOLES)
            .setPreCopy(session);
    if (epoch != null) {
      holes.setEpoch(WireIds.epoch(epoch));
    }
    Frame request = Frame.newBuilder().setHoles(holes).build();
    link.call(Role.CONTROL, request, loop, new HoleAnswer(offset, size, sink));
  }

  /** Receives the answer to the question for heat. */
  public interface HeatSink {
    /** The regions by their last use; null with an error that says why they aren't known. */
    void heat(HeatRanks heat, Exception error);
  }

  @Override
  public void heat(long size, HeatSink sink) {
    Heat.Builder heat = Heat.newBuilder().setUuid(uuid).setPreCopy(session);
    if (epoch != null) {
      heat.setEpoch(WireIds.epoch(epoch));
    }
    Frame request = Frame.newBuilder().setHeat(heat).build();
    link.call(Role.CONTROL, request, loop, new HeatAnswer(size, sink));
  }

  /** Receives the answer to a standby's wish to copy before the handover. */
  public interface PreCopySink {
    /**
     * The owner's answer; with an error neither counts.
     *
     * @param newSession for {@link #inPreCopy}
     * @param stale blocks of which nothing that is held here is good
     */
    void begun(long newSession, BlockMap stale, Exception error);
  }

  /**
   * Asks the owner for a session.
   *
   * @param owners the owner's epoch
   * @param continues the session before, 0 for none
   * @param blocks of the volume
   */
  public void beginPreCopy(Epoch owners, long continues, long blocks, PreCopySink sink) {
    PreCopy.Builder preCopy =
        PreCopy.newBuilder().setUuid(uuid).setEpoch(WireIds.epoch(owners)).setContinues(continues);
    Frame request = Frame.newBuilder().setPreCopy(preCopy).build();
    link.call(Role.CONTROL, request, loop, new PreCopyAnswer(blocks, sink));
  }

  /** An answer that is checked frame by frame; after the first problem nothing of it counts. */
  private abstract static class CheckedAnswer implements PeerLink.Answers {
    private OriginException broken;

    /** Takes one frame; returns what is wrong with it, or null. */
    abstract OriginException take(Frame answer, ByteBuf payload);

    /** What is wrong with an answer that ends here, or null. */
    abstract OriginException lacking();

    abstract void ended(Exception error);

    @Override
    public final void frame(Frame answer, ByteBuf payload) {
      if (broken == null) {
        broken = answer.hasRefused() ? refused(answer.getRefused()) : take(answer, payload);
      }
    }

    @Override
    public final void end(Exception error) {
      if (error == null && broken == null) {
        broken = lacking();
      }
      ended(error != null ? error : broken);
    }
  }

  /** Decodes the answer to the wish for a session. */
  private final class PreCopyAnswer extends CheckedAnswer {
    private final long blocks;
    private final PreCopySink sink;
    private long begun;
    private BlockMap stale;

    PreCopyAnswer(long blocks, PreCopySink sink) {
      this.blocks = blocks;
      this.sink = sink;
    }

    @Override
    OriginException take(Frame answer, ByteBuf payload) {
      begun = answer.getPreCopying().getSession();
      if (begun == 0) {
        return brokenAnswer("sent " + answer.getBodyCase() + " as session of a pre-copy");
      }
      try {
        stale = StaleMapCodec.decode(payload.duplicate(), blocks);
        return null;
      } catch (MalformedMapException e) {
        return brokenAnswer("sent a stale map that can't be used (" + e.getMessage() + ")");
      }
    }

    @Override
    OriginException lacking() {
      return stale == null ? brokenAnswer("began no pre-copy") : null;
    }

    @Override
    void ended(Exception error) {
      sink.begun(begun, stale, error);
    }
  }

  /** Decodes the answer to the question for heat. */
  private final class HeatAnswer extends CheckedAnswer {
    private final long size;
    private final HeatSink sink;
    private HeatRanks heat;

    HeatAnswer(long size, HeatSink sink) {
      this.size = size;
      this.sink = sink;
    }

    @Override
    OriginException take(Frame answer, ByteBuf payload) {
      if (!answer.hasHeatMap()) {
        return brokenAnswer("sent " + answer.getBodyCase() + " as heat map");
      }
      try {
        heat = HeatCodec.decode(payload.duplicate(), size);
        return null;
      } catch (MalformedMapException e) {
        return brokenAnswer("sent a heat map that can't be used (" + e.getMessage() + ")");
      }
    }

    @Override
    OriginException lacking() {
      return heat == null ? brokenAnswer("sent no heat map") : null;
    }

    @Override
    void ended(Exception error) {
      sink.heat(error == null ? heat : null, error);
    }
  }

  /** Validates a list of holes. */
  private final class HoleAnswer extends CheckedAnswer {
    private final long size;
    private final HoleSink sink;
    private final long offset;
    private long next;

    HoleAnswer(long offset, long size, HoleSink sink) {
      this.offset = offset;
      this.next = offset;
      this.size = size;
      this.sink = sink;
    }

    @Override
    OriginException take(Frame answer, ByteBuf payload) {
      HoleList list = answer.getHoleList();
      if (!answer.hasHoleList() || list.getExtentsCount() % 2 != 0) {
        return brokenAnswer("sent " + answer.getBodyCase() + " as list of holes");
      }
      for (int i = 0; i < list.getExtentsCount(); i += 2) {
        long at = list.getExtents(i);
        long length = list.getExtents(i + 1);
        if (at < next || length <= 0 || at > size || length > size - at) {
          return brokenAnswer("sent a hole outside of the volume");
        }
        next = at + length;
        sink.hole(at, length);
      }
      if (list.getNextOffset() < next || list.getNextOffset() > size) {
        return brokenAnswer("sent a list of holes that ends outside of the volume");
      }
      next = list.getNextOffset();
      return null;
    }

    @Override
    OriginException lacking() {
      return next == offset && next < size
          ? brokenAnswer("sent a list of holes that leads nowhere")
          : null;
    }

    @Override
    void ended(Exception error) {
      sink.end(next, error);
    }
  }

  /** Validates one read's answers. */
  private final class ReadAnswer extends CheckedAnswer {
    private final long end;
    private final boolean compressed;
    private final Sink sink;
    private long next;

    ReadAnswer(long offset, long end, boolean compressed, Sink sink) {
      this.compressed = compressed;
      this.next = offset;
      this.end = end;
      this.sink = sink;
    }

    @Override
    OriginException take(Frame answer, ByteBuf payload) {
      return answer.hasExtent()
          ? extent(answer.getExtent(), payload)
          : brokenAnswer("sent " + answer.getBodyCase() + " as answer to a read");
    }

    private OriginException extent(Extent extent, ByteBuf payload) {
      // As unsigned: a length above 2^31 must not look negative and small.
      long length = Integer.toUnsignedLong(extent.getLength());
      if (extent.getOffset() != next || length == 0 || length > end - next) {
        return brokenAnswer("sent a piece outside of what was asked for");
      }
      if (extent.getZero()) {
        next += length;
        sink.zeroes(extent.getOffset(), (int) length);
        return null;
      }
      if (extent.getZstd()) {
        return packed(extent, payload, (int) length);
      }
      if (payload.readableBytes() != length) {
        return brokenAnswer("sent a piece whose length is not its payload's");
      }
      return data(extent, payload, payload.readableBytes());
    }

    private OriginException packed(Extent extent, ByteBuf payload, int length) {
      if (!compressed) {
        return brokenAnswer("sent a compressed piece, which was not asked for");
      }
      ByteBuf data = Compression.unpack(payload, length);
      if (data == null) {
        return brokenAnswer("sent a compressed piece that can't be unpacked at offset " + next);
      }
      try {
        return data(extent, data, payload.readableBytes());
      } finally {
        data.release();
      }
    }

    private OriginException data(Extent extent, ByteBuf data, int onWire) {
      if (Crc32c.of(data) != extent.getCrc32C()) {
        return brokenAnswer("sent a piece with a wrong checksum at offset " + next);
      }
      next += data.readableBytes();
      sink.data(extent.getOffset(), data, onWire);
      return null;
    }

    @Override
    OriginException lacking() {
      return next == end ? null : brokenAnswer("ended a read too early");
    }

    @Override
    void ended(Exception error) {
      sink.end(error);
    }
  }

  private static OriginException refused(Refused refused) {
    return new OriginException(refused.getCode(), refused.getMessage());
  }

  private OriginException brokenAnswer(String what) {
    return new OriginException(
        Refused.Code.CODE_UNSPECIFIED, "node " + link.node() + " " + what + "; it is asked again");
  }
}
