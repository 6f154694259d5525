// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.peer;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.protobuf.ByteString;
import io.netty.buffer.ByteBuf;
import io.netty.buffer.Unpooled;
import io.netty.buffer.UnpooledByteBufAllocator;
import io.netty.channel.ChannelHandler;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelInboundHandlerAdapter;
import io.netty.channel.embedded.EmbeddedChannel;
import io.vmferry.api.Epoch;
import io.vmferry.nbd.fuzz.ErrorLog;
import io.vmferry.nbd.fuzz.Fuzz;
import io.vmferry.relay.copy.Origin;
import io.vmferry.relay.map.HeatRanks;
import io.vmferry.relay.peer.wire.Attach;
import io.vmferry.relay.peer.wire.Complete;
import io.vmferry.relay.peer.wire.EpochId;
import io.vmferry.relay.peer.wire.Extent;
import io.vmferry.relay.peer.wire.Frame;
import io.vmferry.relay.peer.wire.HeatMap;
import io.vmferry.relay.peer.wire.HoleList;
import io.vmferry.relay.peer.wire.Holes;
import io.vmferry.relay.peer.wire.Ping;
import io.vmferry.relay.peer.wire.Pong;
import io.vmferry.relay.peer.wire.Probe;
import io.vmferry.relay.peer.wire.Refused;
import io.vmferry.relay.peer.wire.Role;
import io.vmferry.relay.peer.wire.Takeover;
import io.vmferry.relay.sim.VirtualTime;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.UUID;
import java.util.concurrent.Executor;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

/**
 * Nonsense from a peer, in front of the hello, as requests and as answers: nothing is thrown,
 * nothing is logged as error, no buffer is lost, no memory is given away, each call ends once, and
 * no read ends well that lacks a part. 250 000 connections, the same in each run.
 */
@ExtendWith(LeakGuard.class)
class PeerFuzzTest {
  private static final long VOLUME_SIZE = 1 << 20;
  private static final int READ_LENGTH = 8192;

  /** Bytes a connection may hold: what is taken at once for a frame that isn't complete yet. */
  private static final long MAX_HELD_BYTES = 3 << 20;

  private static final ByteString ID = ByteString.copyFrom(new byte[16]);
  private static final EpochId EPOCH = EpochId.newBuilder().setNumber(3).setOwner("a").build();

  private final ErrorLog errors = new ErrorLog("io.vmferry.relay");

  @AfterEach
  void close() {
    errors.close();
  }

  private static byte[] bytes(Frame.Builder frame, byte... payload) {
    byte[] header = frame.build().toByteArray();
    return ByteBuffer.allocate(FrameLimits.PREFIX_BYTES + header.length + payload.length)
        .putInt(FrameLimits.MAGIC)
        .putInt(header.length)
        .putInt(payload.length)
        .put(header)
        .put(payload)
        .array();
  }

  private static Frame.Builder frame(long id) {
    return Frame.newBuilder().setId(id).setLast(true);
  }

  /** A connection whose buffers are counted. */
  private final class Connection implements AutoCloseable {
    private final UnpooledByteBufAllocator memory = new UnpooledByteBufAllocator(true, true);
    private final EmbeddedChannel channel = new EmbeddedChannel();

    Connection(ChannelHandler... handlers) {
      channel.config().setAllocator(memory);
      channel.pipeline().addLast(handlers);
    }

    void receive(byte[][] pieces) {
      for (byte[] piece : pieces) {
        if (channel.isOpen()) {
          ByteBuf in = memory.directBuffer(Math.max(1, piece.length));
          channel.writeInbound(in.writeBytes(piece));
        }
        assertThat(memory.metric().usedDirectMemory()).isLessThan(MAX_HELD_BYTES);
      }
    }

    @Override
    public void close() {
      channel.finishAndReleaseAll();
      channel.checkException();
      assertThat(memory.metric().usedDirectMemory()).isZero();
      errors.requireNone();
    }
  }

  // ---- requests

  private static final List<byte[]> CONTROL =
      List.of(
          bytes(frame(1).setPing(Ping.getDefaultInstance())),
          bytes(TestFrames.locate().toBuilder().setId(2)),
          bytes(frame(3).setAttach(Attach.newBuilder().setUuid(ID).setEpoch(EPOCH))),
          bytes(
              frame(4)
                  .setTakeover(
                      Takeover.newBuilder()
                          .addVolumes(
                              Takeover.Volume.newBuilder()
                                  .setUuid(ID)
                                  .setEpoch(EPOCH)
                                  .setSize(VOLUME_SIZE)))),
          bytes(frame(5).setHoles(Holes.newBuilder().setUuid(ID).setMaxExtents(9))),
          bytes(frame(6).setComplete(Complete.newBuilder().setUuid(ID).setEpoch(EPOCH))),
          bytes(frame(7).setProbe(Probe.newBuilder().setPadding(ID))));

  private static final List<byte[]> READS =
      List.of(
          bytes(TestFrames.read(0, 4096).toBuilder().setId(1)),
          bytes(frame(2).setPing(Ping.getDefaultInstance())),
          bytes(TestFrames.read(1 << 20, 1 << 20).toBuilder().setId(3)),
          bytes(TestFrames.read(5, 1).toBuilder().setId(4)));

  /** Answers every other request at once, keeps the others. */
  private static final class Service implements PeerService {
    private int requests;

    @Override
    public void handle(String peer, Role role, Frame request, Responder responder) {
      requests++;
      if (requests % 2 == 0) {
        responder.answer(TestFrames.done(), null, true);
      }
    }
  }

  private void requests(Role role, byte[][] pieces) {
    FrameDecoder decoder = new FrameDecoder();
    decoder.limits(FrameLimits.of(role));
    RequestDispatcher requests = new RequestDispatcher("a", role, new Service());
    try (Connection connection = new Connection(decoder, new FrameEncoder(), requests)) {
      connection.receive(pieces);
    }
  }

  @Test
  void wrongControlRequests() {
    new Fuzz(List.of(CONTROL), pieces -> requests(Role.CONTROL, pieces)).inputs(1, 70_000);
  }

  @Test
  void wrongReads() {
    new Fuzz(List.of(READS), pieces -> requests(Role.BULK, pieces)).inputs(2_000_000, 40_000);
  }

  // ---- hello

  /** Decides as both sides do on a first frame. */
  private static final class FirstFrame extends ChannelInboundHandlerAdapter {
    @Override
    public void channelRead(ChannelHandlerContext ctx, Object message) {
      PeerFrame frame = (PeerFrame) message;
      Refused refused = HelloRules.refusal(frame.header(), "b", "a", "a"::equals);
      String problem = HelloRules.problem(frame.header(), "b", "a", Role.BULK);
      assertThat(refused == null || !refused.getMessage().isEmpty()).isTrue();
      assertThat(problem == null || !problem.isEmpty()).isTrue();
      frame.release();
    }

    @Override
    public void exceptionCaught(ChannelHandlerContext ctx, Throwable cause) {
      if (!Failures.isOfConnection(cause)) {
        throw new AssertionError("a bug", cause);
      }
      assertThat(Failures.describe(cause)).isNotEmpty();
      var unused = ctx.close();
    }
  }

  @Test
  void wrongHellos() {
    List<byte[]> hellos =
        List.of(
            bytes(HelloRules.hello(1, "a", Role.BULK, "vmferry 1").toBuilder()),
            bytes(HelloRules.hello(2, "a", Role.CONTROL, "vmferry 1").toBuilder()));
    new Fuzz(
            List.of(hellos),
            pieces -> {
              try (Connection connection = new Connection(new FrameDecoder(), new FirstFrame())) {
                connection.receive(pieces);
              }
            })
        .inputs(4_000_000, 40_000);
  }

  // ---- answers

  private static final byte[] DATA = new byte[4096];

  private static final List<byte[]> READ_ANSWERS =
      List.of(
          bytes(
              Frame.newBuilder()
                  .setId(1)
                  .setExtent(
                      Extent.newBuilder()
                          .setLength(4096)
                          .setCrc32C(Crc32c.of(Unpooled.wrappedBuffer(DATA)))),
              DATA),
          bytes(
              frame(1)
                  .setExtent(Extent.newBuilder().setOffset(4096).setLength(4096).setZero(true))),
          bytes(frame(2).setExtent(Extent.newBuilder().setLength(READ_LENGTH).setZero(true))),
          bytes(
              frame(3)
                  .setRefused(
                      Refused.newBuilder().setCode(Refused.Code.BUSY).setMessage("later"))));

  private static final List<byte[]> LIST_ANSWERS =
      List.of(
          bytes(
              frame(1)
                  .setHoleList(
                      HoleList.newBuilder()
                          .addAllExtents(List.of(0L, 4096L, 65536L, 4096L))
                          .setNextOffset(VOLUME_SIZE))),
          bytes(frame(2).setHeatMap(HeatMap.getDefaultInstance()), (byte) 0, (byte) 1),
          bytes(frame(9).setPong(Pong.getDefaultInstance())));

  /** The link of one connection; calls go to it whatever their role. */
  private record OneConnection(CallDispatcher calls) implements PeerLink {
    @Override
    public String node() {
      return "a";
    }

    @Override
    public String address() {
      return "a:7820";
    }

    @Override
    public boolean up() {
      return true;
    }

    @Override
    public RoundTrip roundTrip() {
      return RoundTrip.UNKNOWN;
    }

    @Override
    public String problem() {
      return null;
    }

    @Override
    public void call(Role role, Frame request, Executor executor, Answers answers) {
      calls.send(new PeerCall(request, Runnable::run, answers));
    }

    @Override
    public void onUp(Executor executor, Runnable listener) {
      throw new UnsupportedOperationException();
    }
  }

  /** What a read or a list gave; it must be in order, and whole if it ends well. */
  private static final class Checked implements Origin.Sink, Origin.HoleSink, Origin.HeatSink {
    private long next;
    private int ends;

    private void piece(long offset, long length, long limit) {
      assertThat(ends).isZero();
      assertThat(offset).isGreaterThanOrEqualTo(next);
      assertThat(length).isBetween(1L, limit - offset);
      next = offset + length;
    }

    @Override
    public void data(long offset, ByteBuf data, int onWire) {
      assertThat(offset).isEqualTo(next);
      piece(offset, data.readableBytes(), READ_LENGTH);
    }

    @Override
    public void zeroes(long offset, int length) {
      assertThat(offset).isEqualTo(next);
      piece(offset, length, READ_LENGTH);
    }

    @Override
    public void end(Exception error) {
      ends++;
      assertThat(error != null || next == READ_LENGTH).isTrue();
    }

    @Override
    public void hole(long offset, long length) {
      piece(offset, length, VOLUME_SIZE);
    }

    @Override
    public void end(long nextOffset, Exception error) {
      ends++;
      assertThat(error != null || (nextOffset >= next && nextOffset <= VOLUME_SIZE)).isTrue();
    }

    @Override
    public void heat(HeatRanks heat, Exception error) {
      ends++;
      assertThat(heat == null).isEqualTo(error != null);
    }
  }

  private void answers(boolean reads, byte[][] pieces) {
    FrameDecoder decoder = new FrameDecoder();
    decoder.limits(FrameLimits.DATA);
    CallDispatcher calls = new CallDispatcher("a", Role.BULK, () -> 0, reason -> {});
    List<Checked> asked = new ArrayList<>();
    try (Connection connection = new Connection(decoder, new FrameEncoder(), calls)) {
      Origin origin =
          new Origin(
              new OneConnection(calls),
              new UUID(0, 0),
              new Epoch(3, "a"),
              new VirtualTime().new NodeLoop());
      for (int i = 0; i < 3; i++) {
        asked.add(new Checked());
      }
      if (reads) {
        asked.forEach(sink -> origin.read(Role.BULK, 0, READ_LENGTH, true, sink));
      } else {
        origin.holes(0, VOLUME_SIZE, asked.get(0));
        origin.heat(VOLUME_SIZE, asked.get(1));
        origin.read(Role.BULK, 0, READ_LENGTH, false, asked.get(2));
      }
      connection.receive(pieces);
    }
    assertThat(asked).extracting(sink -> sink.ends).containsOnly(1);
  }

  @Test
  void cve20220485WrongAnswersToReads() {
    new Fuzz(List.of(READ_ANSWERS), pieces -> answers(true, pieces)).inputs(6_000_000, 60_000);
  }

  @Test
  void wrongLists() {
    new Fuzz(List.of(LIST_ANSWERS), pieces -> answers(false, pieces)).inputs(8_000_000, 40_000);
  }
}
