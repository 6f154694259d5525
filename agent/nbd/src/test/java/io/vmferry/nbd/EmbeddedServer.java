// SPDX-License-Identifier: Apache-2.0
package io.vmferry.nbd;

import static org.assertj.core.api.Assertions.assertThat;

import io.netty.buffer.AbstractByteBufAllocator;
import io.netty.buffer.ByteBuf;
import io.netty.buffer.UnpooledByteBufAllocator;
import io.netty.channel.embedded.EmbeddedChannel;
import io.netty.util.concurrent.MockTicker;
import io.netty.util.concurrent.Ticker;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.time.Duration;
import java.util.Arrays;
import java.util.concurrent.TimeUnit;

/**
 * One connection of the server without a socket, on the test's thread, with a clock that stands
 * still. On close it checks that every buffer was given back.
 */
final class EmbeddedServer implements AutoCloseable {
  static final NbdClient CLIENT = new NbdClient(1, 4711, 0);

  final EmbeddedChannel channel;
  private final UnpooledByteBufAllocator allocator = new UnpooledByteBufAllocator(true, true);
  private final MockTicker ticker = Ticker.newMockTicker();
  int negotiated;

  EmbeddedServer(NbdExports exports) {
    channel =
        EmbeddedChannel.builder()
            .register(false)
            .ticker(ticker)
            .handlers(new HandshakeHandler(exports, CLIENT, () -> negotiated++))
            .build();
    channel.config().setAllocator(allocator);
    try {
      channel.register();
    } catch (Exception e) {
      throw new IllegalStateException(e);
    }
  }

  /** A connection in transmission with the export "disk"; the handshake's replies are skipped. */
  static EmbeddedServer transmitting(MemoryExport export, boolean structured) {
    EmbeddedServer server = new EmbeddedServer(export);
    ClientBytes handshake = new ClientBytes().flags(3);
    if (structured) {
      handshake.structuredReplies().setMetaContext("disk", "base:allocation");
    }
    server.send(handshake.go("disk"));
    server.received();
    assertThat(server.negotiated).isEqualTo(1);
    export.calls.clear();
    return server;
  }

  void send(ClientBytes bytes) {
    send(bytes.toBytes());
  }

  /** What comes after the server has closed is lost, as on a socket. */
  void send(byte[] bytes) {
    if (!isOpen()) {
      return;
    }
    ByteBuf in = allocator.directBuffer(Math.max(1, bytes.length));
    channel.writeInbound(in.writeBytes(bytes));
  }

  /** Sends the same in pieces that end at the given positions. */
  void sendCut(byte[] bytes, int... cuts) {
    int from = 0;
    for (int cut : cuts) {
      send(Arrays.copyOfRange(bytes, from, cut));
      from = cut;
    }
    send(Arrays.copyOfRange(bytes, from, bytes.length));
  }

  /** All bytes sent by the server since the last call. */
  byte[] received() {
    channel.runPendingTasks();
    ByteArrayOutputStream all = new ByteArrayOutputStream();
    for (ByteBuf out = channel.readOutbound(); out != null; out = channel.readOutbound()) {
      try {
        out.readBytes(all, out.readableBytes());
      } catch (IOException e) {
        throw new UncheckedIOException(e);
      } finally {
        out.release();
      }
    }
    return all.toByteArray();
  }

  ServerBytes replies() {
    return new ServerBytes(new ByteArrayInputStream(received()));
  }

  void pass(Duration time) {
    ticker.advance(time.toNanos(), TimeUnit.NANOSECONDS);
    channel.runScheduledPendingTasks();
    channel.runPendingTasks();
  }

  void stop() {
    channel.pipeline().fireUserEventTriggered(ServerStopping.EVENT);
    channel.runPendingTasks();
  }

  void clientVanishes() {
    channel.close().syncUninterruptibly();
    channel.runPendingTasks();
  }

  /** From now on no buffer can be had. */
  void exhaustMemory() {
    channel
        .config()
        .setAllocator(
            new AbstractByteBufAllocator(true) {
              @Override
              protected ByteBuf newHeapBuffer(int initialCapacity, int maxCapacity) {
                throw new OutOfMemoryError("the test wants it");
              }

              @Override
              protected ByteBuf newDirectBuffer(int initialCapacity, int maxCapacity) {
                throw new OutOfMemoryError("the test wants it");
              }

              @Override
              public boolean isDirectBufferPooled() {
                return false;
              }
            });
  }

  boolean isOpen() {
    return channel.isOpen();
  }

  long bufferedBytes() {
    return allocator.metric().usedDirectMemory() + allocator.metric().usedHeapMemory();
  }

  @Override
  public void close() {
    channel.finishAndReleaseAll();
    channel.checkException();
    assertThat(bufferedBytes()).as("bytes of buffers that were not released").isZero();
  }
}
