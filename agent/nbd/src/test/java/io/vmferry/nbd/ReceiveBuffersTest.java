// SPDX-License-Identifier: Apache-2.0
package io.vmferry.nbd;

import static org.assertj.core.api.Assertions.assertThat;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.ByteBufAllocator;
import io.netty.buffer.Unpooled;
import io.netty.buffer.UnpooledByteBufAllocator;
import io.netty.channel.EventLoopGroup;
import io.netty.channel.MultiThreadIoEventLoopGroup;
import io.netty.channel.RecvByteBufAllocator.ExtendedHandle;
import io.netty.channel.embedded.EmbeddedChannel;
import io.netty.channel.epoll.EpollIoHandler;
import java.io.IOException;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.util.Arrays;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

@Timeout(60)
final class ReceiveBuffersTest {
  private static final int LARGE = 256 << 10;

  private final UnpooledByteBufAllocator allocator = new UnpooledByteBufAllocator(true, true);
  private final RequestDecoder decoder = new RequestDecoder(allocator);
  private final ReceiveBuffers buffers = new ReceiveBuffers();
  private final ExtendedHandle handle = buffers.newHandle();

  @AfterEach
  void nothingIsKept() {
    decoder.release();
    assertThat(allocator.metric().usedDirectMemory()).isZero();
    assertThat(allocator.metric().usedHeapMemory()).isZero();
  }

  /** The decoder has the header of a write, and {@code begun} bytes of its payload. */
  private void beginWrite(int length, int begun) {
    byte[] write = new ClientBytes().write(1, 0, new byte[length]).toBytes();
    ByteBuf in = Unpooled.wrappedBuffer(write, 0, write.length - length + begun);
    assertThat(decoder.next(in)).isEqualTo(RequestDecoder.Event.REQUEST);
    decoder.expectPayload();
    if (begun > 0) {
      assertThat(decoder.next(in)).isEqualTo(RequestDecoder.Event.NEED_MORE);
    }
  }

  private void receiveLargePayload() {
    beginWrite(LARGE, 0);
    ByteBuf received = handle.allocate(allocator);
    received.writeZero(LARGE);
    received.release();
    decoder.takePayload().release();
  }

  @Test
  void theRestOfALargePayloadIsReceivedWhereTheDiskWritesItFrom() {
    buffers.use(decoder);
    beginWrite(LARGE, 1000);

    ByteBuf received = handle.allocate(allocator);
    assertThat(received.writableBytes()).isEqualTo(LARGE - 1000);
    assertThat(decoder.isPayload(received)).isTrue();
    received.writeZero(1000);
    received.release();
    assertThat(decoder.payloadReceived()).isFalse();
    received = handle.allocate(allocator);
    received.writeZero(LARGE - 2001).writeByte(7);
    received.release();

    assertThat(decoder.payloadReceived()).isTrue();
    ByteBuf payload = decoder.takePayload();
    assertThat(payload).isSameAs(received);
    assertThat(payload.readableBytes()).isEqualTo(LARGE);
    assertThat(payload.getByte(LARGE - 1)).isEqualTo((byte) 7);
    payload.release();
  }

  @Test
  void soIsAPayloadOfWhichNothingCameWithItsHeader() {
    buffers.use(decoder);
    beginWrite(LARGE, 0);

    ByteBuf received = handle.allocate(allocator);

    assertThat(decoder.isPayload(received)).isTrue();
    assertThat(received.writableBytes()).isEqualTo(LARGE);
    received.release();
  }

  @Test
  void littleIsReceivedTogetherWithWhatFollows() {
    buffers.use(decoder);
    beginWrite(LARGE, LARGE - 100);

    ByteBuf received = handle.allocate(allocator);

    assertThat(decoder.isPayload(received)).isFalse();
    received.release();
  }

  @Test
  void behindALargePayloadOnlyAHeaderIsExpected() {
    buffers.use(decoder);
    receiveLargePayload();

    ByteBuf received = handle.allocate(allocator);

    assertThat(decoder.isPayload(received)).isFalse();
    assertThat(received.writableBytes()).isLessThanOrEqualTo(4096);
    received.release();
  }

  @Test
  void anUnwantedPayloadGetsNoBuffer() {
    buffers.use(decoder);
    byte[] write = new ClientBytes().write(1, 0, new byte[LARGE]).toBytes();
    ByteBuf in = Unpooled.wrappedBuffer(write, 0, write.length - LARGE);
    decoder.next(in);
    decoder.skipPayload();

    ByteBuf received = handle.allocate(allocator);

    assertThat(decoder.roomForPayload(1)).isNull();
    assertThat(decoder.isPayload(received)).isFalse();
    received.release();
  }

  /** Whether the socket is read once more at once, after a buffer was filled to its end. */
  private boolean readsOn() {
    handle.reset(new EmbeddedChannel().config());
    handle.incMessagesRead(1);
    handle.attemptedBytesRead(1000);
    handle.lastBytesRead(1000);
    return handle.continueReading(() -> true);
  }

  @Test
  void theSocketIsReadOnInALargePayload() {
    buffers.use(decoder);
    beginWrite(LARGE, 1000);

    assertThat(readsOn()).isTrue();
  }

  @Test
  void theSocketIsReadOnBehindALargePayload() {
    buffers.use(decoder);
    receiveLargePayload();

    assertThat(readsOn()).isTrue();
  }

  @Test
  void otherwiseOthersHaveTheirTurnFirst() {
    assertThat(readsOn()).isFalse();
    buffers.use(decoder);
    assertThat(readsOn()).isFalse();
    beginWrite(4096, 1000);
    assertThat(readsOn()).isFalse();
  }

  @Test
  void theHandshakeIsReceivedAsEver() {
    ByteBuf received = handle.allocate(ByteBufAllocator.DEFAULT);

    assertThat(received.writableBytes()).isBetween(1, 64 << 10);
    received.release();
  }

  /** Sizes around every limit, in pieces as the socket and the client cut them. */
  @Test
  void whateverIsWrittenOverASocketIsRight(@TempDir Path directory) throws IOException {
    int size = 4 << 20;
    MemoryExport export = MemoryExport.writable(size);
    byte[] expected = export.data.clone();
    EventLoopGroup group = new MultiThreadIoEventLoopGroup(1, EpollIoHandler.newFactory());
    Path socket = directory.resolve("nbd.sock");
    NbdServer server =
        NbdServer.start(group, export, socket, PosixFilePermissions.fromString("rw-------"));
    Random random = new Random(4);
    int[] lengths = {1, 4096, 8191, 8192, 8193, 32768, 65508, 65536, 65537, 200_000, 1 << 20};
    try (TestClient client = TestClient.transmitting(socket)) {
      for (int round = 0; round < 40; round++) {
        int requests = 1 + random.nextInt(6);
        ClientBytes batch = new ClientBytes();
        for (int i = 0; i < requests; i++) {
          byte[] data = new byte[lengths[random.nextInt(lengths.length)]];
          random.nextBytes(data);
          int offset = random.nextInt(size - data.length);
          System.arraycopy(data, 0, expected, offset, data.length);
          batch.write(i, offset, data);
          if (random.nextInt(3) == 0) {
            // Refused, so its payload is skipped.
            batch.write(99, size, new byte[lengths[random.nextInt(lengths.length)]]);
          }
        }
        byte[] bytes = batch.toBytes();
        for (int from = 0; from < bytes.length; ) {
          int to = Math.min(bytes.length, from + 1 + random.nextInt(300_000));
          client.send(Arrays.copyOfRange(bytes, from, to));
          from = to;
        }
        for (int replies = 0; replies < requests; ) {
          replies += client.received.reply().error() == 0 ? 1 : 0;
        }
      }
      // Refusals may still be on their way: a read behind them ends them all.
      client.send(new ClientBytes().read(1000, 0, size));
      ServerBytes.Reply reply = client.received.reply();
      while (reply.cookie() != 1000) {
        assertThat(reply.error()).isNotZero();
        reply = client.received.reply();
      }
      assertThat(reply.error()).isZero();
      byte[] read = new byte[size];
      reply.data().position(8).get(read);
      assertThat(Arrays.mismatch(read, expected)).isEqualTo(-1);
    } finally {
      server.stop(Duration.ZERO).toCompletableFuture().join();
      group.shutdownGracefully(0, 5, TimeUnit.SECONDS).syncUninterruptibly();
    }
  }
}
