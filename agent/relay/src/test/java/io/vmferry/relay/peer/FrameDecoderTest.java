// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.peer;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.catchThrowable;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.ByteBufUtil;
import io.netty.channel.ChannelHandler;
import io.netty.channel.embedded.EmbeddedChannel;
import io.vmferry.relay.peer.wire.Extent;
import io.vmferry.relay.peer.wire.Frame;
import io.vmferry.relay.peer.wire.Hello;
import io.vmferry.relay.peer.wire.Ping;
import io.vmferry.relay.peer.wire.Role;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import net.jqwik.api.constraints.Size;
import org.assertj.core.api.AbstractThrowableAssert;
import org.junit.jupiter.api.Test;

class FrameDecoderTest {
  private static final Frame PING = Frame.newBuilder().setId(7).setPing(Ping.newBuilder()).build();

  private final CountingAllocator allocator = new CountingAllocator();

  /** A frame as plain values, so that it can be compared after its buffers are gone. */
  private record Plain(Frame header, String payload) {}

  @Property(tries = 100)
  void framesCutAnywhereDecodeToTheSame(
      @ForAll @Size(min = 1, max = 6) List<@IntRange(min = 0, max = 20_000) Integer> payloads,
      @ForAll long seed) {
    Random random = new Random(seed);
    List<Plain> sent = new ArrayList<>();
    CountingAllocator memory = new CountingAllocator();
    EmbeddedChannel sender = channel(memory, new FrameEncoder());
    ByteBuf stream = memory.buffer();
    for (int size : payloads) {
      byte[] bytes = new byte[size];
      random.nextBytes(bytes);
      Frame header =
          Frame.newBuilder()
              .setId(random.nextLong())
              .setExtent(Extent.newBuilder().setOffset(random.nextInt(1000)).setLength(size))
              .build();
      sent.add(new Plain(header, ByteBufUtil.hexDump(bytes)));
      sender.writeOutbound(new PeerFrame(header, memory.directBuffer().writeBytes(bytes)));
    }
    drain(sender, stream);

    EmbeddedChannel receiver = receiver(memory, FrameLimits.DATA);
    while (stream.isReadable()) {
      // Mostly tiny pieces: they cut inside the prefix and the header.
      int most = random.nextInt(4) == 0 ? 20_000 : 16;
      int piece = Math.min(stream.readableBytes(), 1 + random.nextInt(most));
      receiver.writeInbound(memory.directBuffer(piece).writeBytes(stream, piece));
    }
    stream.release();

    assertThat(received(receiver)).isEqualTo(sent);
    sender.finishAndReleaseAll();
    receiver.finishAndReleaseAll();
    assertThat(memory.held()).isZero();
  }

  @Test
  void everySingleCutDecodesToTheSame() {
    byte[] stream = bytes(extent(100), 100);
    for (int cut = 0; cut <= stream.length; cut++) {
      EmbeddedChannel channel = receiver(allocator, FrameLimits.DATA);
      channel.writeInbound(buffer(Arrays.copyOfRange(stream, 0, cut)));
      channel.writeInbound(buffer(Arrays.copyOfRange(stream, cut, stream.length)));
      assertThat(received(channel)).extracting(Plain::header).containsExactly(extent(100));
      channel.finishAndReleaseAll();
    }
    assertThat(allocator.held()).isZero();
  }

  @Test
  void payloadInOneBufferIsSlicedNotCopied() {
    EmbeddedChannel channel = receiver(allocator, FrameLimits.DATA);
    ByteBuf received = buffer(bytes(extent(4096), 4096));
    long address = received.memoryAddress();
    channel.writeInbound(received);

    PeerFrame frame = channel.readInbound();
    assertThat(frame.payload().memoryAddress())
        .isBetween(address, address + received.capacity() - 4096);
    frame.release();
    channel.finishAndReleaseAll();
    assertThat(allocator.held()).isZero();
  }

  @Test
  void framesBehindEachOtherInOneBufferAreAllDecoded() {
    EmbeddedChannel channel = receiver(allocator, FrameLimits.DATA);
    ByteBuf both = buffer(bytes(PING, 0)).writeBytes(bytes(extent(5), 5));
    channel.writeInbound(both.writeBytes(bytes(PING, 0)));
    assertThat(received(channel)).extracting(Plain::header).containsExactly(PING, extent(5), PING);
  }

  @Test
  void wrongMagicIsBroken() {
    assertBroken(FrameLimits.DATA, buffer(new byte[0]).writeInt(0x47455420).writeZero(8))
        .hasMessage("broken frame: magic is 0x47455420");
  }

  @Test
  void emptyHeaderIsBroken() {
    assertBroken(FrameLimits.DATA, prefix(0, 0)).hasMessageContaining("header of 0 bytes");
  }

  @Test
  void headerAboveTheLimitIsBroken() {
    assertBroken(FrameLimits.DATA, prefix(1024 * 1024 + 1, 0))
        .hasMessage("broken frame: header of 1048577 bytes, allowed are 1 to 1048576");
  }

  @Test
  void headerLengthIsUnsigned() {
    assertBroken(FrameLimits.DATA, prefix(-1, 0)).hasMessageContaining("header of 4294967295");
  }

  @Test
  void payloadLengthIsUnsigned() {
    assertBroken(FrameLimits.CONTROL, prefix(1, -1)).hasMessageContaining("payload of 4294967295");
  }

  @Test
  void payloadLimitFollowsTheRole() {
    int aboveData = 2 * 1024 * 1024 + 1;
    assertBroken(FrameLimits.of(Role.BULK), prefix(1, aboveData)).hasMessageContaining("2097153");
    assertBroken(FrameLimits.of(Role.DEMAND), prefix(1, aboveData)).hasMessageContaining("2097153");
    EmbeddedChannel control = receiver(allocator, FrameLimits.of(Role.CONTROL));
    control.writeInbound(prefix(1, aboveData));
    control.checkException();
    control.finishAndReleaseAll();
    assertBroken(FrameLimits.CONTROL, prefix(1, 64 * 1024 * 1024 + 1))
        .hasMessageContaining("67108865");
  }

  @Test
  void nothingButASmallHelloIsTakenBeforeTheHello() {
    assertBroken(FrameLimits.HANDSHAKE, prefix(1, 1)).hasMessageContaining("payload of 1 bytes");
    assertBroken(FrameLimits.HANDSHAKE, prefix(4097, 0)).hasMessageContaining("header of 4097");
  }

  @Test
  void refusedLengthsTakeNoMemory() {
    EmbeddedChannel channel = receiver(allocator, FrameLimits.CONTROL);
    ByteBuf prefix = prefix(1024, Integer.MAX_VALUE);
    long before = allocator.largest();
    assertThatThrownBy(() -> channel.writeInbound(prefix)).isInstanceOf(BrokenFrameException.class);
    assertThat(allocator.largest()).isEqualTo(before);
    channel.finishAndReleaseAll();
    assertThat(allocator.held()).isZero();
  }

  @Test
  void allowedLengthAloneTakesLittleMemory() {
    EmbeddedChannel channel = receiver(allocator, FrameLimits.CONTROL);
    channel.writeInbound(prefix(1024, 64 * 1024 * 1024).writeByte(0));
    assertThat(allocator.held()).isLessThan(2 * 1024 * 1024);
    channel.finishAndReleaseAll();
    assertThat(allocator.held()).isZero();
  }

  @Test
  void headerThatIsNoMessageIsBroken() {
    assertBroken(FrameLimits.DATA, prefix(3, 0).writeMedium(0xffffff))
        .hasMessageContaining("header can't be parsed");
  }

  @Test
  void everythingAfterABrokenFrameIsDropped() {
    EmbeddedChannel channel = receiver(allocator, FrameLimits.DATA);
    assertThatThrownBy(() -> channel.writeInbound(prefix(0, 0)))
        .isInstanceOf(BrokenFrameException.class);
    channel.writeInbound(buffer(bytes(PING, 0)));
    assertThat(channel.inboundMessages()).isEmpty();
    channel.finishAndReleaseAll();
    assertThat(allocator.held()).isZero();
  }

  @Test
  void halfAFrameIsReleasedWhenTheConnectionEnds() {
    EmbeddedChannel channel = receiver(allocator, FrameLimits.DATA);
    byte[] frame = bytes(extent(1000), 1000);
    channel.writeInbound(buffer(Arrays.copyOf(frame, 500)));
    assertThat(allocator.held()).isPositive();
    channel.finishAndReleaseAll();
    assertThat(allocator.held()).isZero();
  }

  @Test
  void newLimitsHoldFromTheNextFrameOn() {
    EmbeddedChannel channel = receiver(allocator, FrameLimits.HANDSHAKE);
    Frame hello = Frame.newBuilder().setHello(Hello.newBuilder().setNode("a")).build();
    channel.writeInbound(buffer(bytes(hello, 0)));
    channel.pipeline().get(FrameDecoder.class).limits(FrameLimits.DATA);
    channel.writeInbound(buffer(bytes(extent(9), 9)));
    assertThat(received(channel)).extracting(Plain::header).containsExactly(hello, extent(9));
  }

  private AbstractThrowableAssert<?, ? extends Throwable> assertBroken(
      FrameLimits limits, ByteBuf bytes) {
    EmbeddedChannel channel = receiver(allocator, limits);
    Throwable thrown = catchThrowable(() -> channel.writeInbound(bytes));
    channel.finishAndReleaseAll();
    assertThat(allocator.held()).isZero();
    return assertThat(thrown).isInstanceOf(BrokenFrameException.class);
  }

  private static Frame extent(int length) {
    return Frame.newBuilder()
        .setId(3)
        .setExtent(Extent.newBuilder().setOffset(4096).setLength(length))
        .build();
  }

  private ByteBuf prefix(int headerLength, int payloadLength) {
    return allocator
        .directBuffer()
        .writeInt(FrameLimits.MAGIC)
        .writeInt(headerLength)
        .writeInt(payloadLength);
  }

  private ByteBuf buffer(byte[] bytes) {
    return allocator.directBuffer().writeBytes(bytes);
  }

  /** The stream's bytes of a frame with a payload of zeroes. */
  private byte[] bytes(Frame header, int payloadBytes) {
    EmbeddedChannel channel = channel(allocator, new FrameEncoder());
    ByteBuf payload = allocator.directBuffer().writeZero(payloadBytes);
    channel.writeOutbound(new PeerFrame(header, payload));
    ByteBuf stream = allocator.buffer();
    drain(channel, stream);
    byte[] bytes = ByteBufUtil.getBytes(stream);
    stream.release();
    channel.finishAndReleaseAll();
    return bytes;
  }

  private static void drain(EmbeddedChannel channel, ByteBuf target) {
    for (ByteBuf part = channel.readOutbound(); part != null; part = channel.readOutbound()) {
      target.writeBytes(part);
      part.release();
    }
  }

  private static EmbeddedChannel receiver(CountingAllocator memory, FrameLimits limits) {
    FrameDecoder decoder = new FrameDecoder();
    decoder.limits(limits);
    return channel(memory, decoder);
  }

  private static EmbeddedChannel channel(CountingAllocator memory, ChannelHandler handler) {
    EmbeddedChannel channel = new EmbeddedChannel();
    channel.config().setAllocator(memory);
    channel.pipeline().addLast(handler);
    return channel;
  }

  private static List<Plain> received(EmbeddedChannel channel) {
    List<Plain> frames = new ArrayList<>();
    for (PeerFrame f = channel.readInbound(); f != null; f = channel.readInbound()) {
      frames.add(new Plain(f.header(), ByteBufUtil.hexDump(f.payload())));
      f.release();
    }
    return frames;
  }
}
