// SPDX-License-Identifier: Apache-2.0
package io.vmferry.nbd.client;

import static org.assertj.core.api.Assertions.assertThat;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.UnpooledByteBufAllocator;
import io.netty.channel.embedded.EmbeddedChannel;
import io.netty.handler.ssl.SslHandler;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Supplier;

/** One connection of the client without a socket. On close it checks that all was given back. */
final class EmbeddedClient implements NbdNegotiation.Outcome, AutoCloseable {
  final EmbeddedChannel channel = new EmbeddedChannel();
  private final UnpooledByteBufAllocator allocator = new UnpooledByteBufAllocator(true, true);
  final List<String> closedWith = new ArrayList<>();
  NbdConnection connection;
  String failure;
  private int outcomes;

  EmbeddedClient(String uri, Supplier<SslHandler> tls) {
    channel.config().setAllocator(allocator);
    channel.pipeline().addLast(new NbdNegotiation(NbdUri.parse(uri), tls, this));
    channel.pipeline().fireChannelActive();
  }

  EmbeddedClient() {
    this("nbd://server/disk", null);
  }

  /** A connection to an export of that size, without limits, with structured replies. */
  static EmbeddedClient connected(long size) {
    EmbeddedClient client = new EmbeddedClient();
    client.receive(new ServerSays().welcome(size));
    assertThat(client.failure).isNull();
    client.sent();
    return client;
  }

  /** A connection without structured replies. */
  static EmbeddedClient simple(long size) {
    EmbeddedClient client = new EmbeddedClient();
    client.receive(
        new ServerSays().greeting(3).refuse(8, ServerSays.ERR_UNSUP, "").export(size, 1).ack(7));
    assertThat(client.failure).isNull();
    client.sent();
    return client;
  }

  @Override
  public void connected(NbdConnection established) {
    outcomes++;
    connection = established;
    established.whenClosed(closedWith::add);
  }

  @Override
  public void failed(IOException error) {
    outcomes++;
    failure = error.getMessage();
  }

  void receive(ServerSays bytes) {
    receive(bytes.toBytes());
  }

  void receive(byte[] bytes) {
    if (channel.isOpen()) {
      ByteBuf in = allocator.directBuffer(Math.max(1, bytes.length));
      channel.writeInbound(in.writeBytes(bytes));
      channel.runPendingTasks();
    }
  }

  /** What the client has sent since the last call. */
  byte[] sent() {
    ByteArrayOutputStream all = new ByteArrayOutputStream();
    for (ByteBuf out = channel.readOutbound(); out != null; out = channel.readOutbound()) {
      byte[] bytes = new byte[out.readableBytes()];
      out.readBytes(bytes);
      all.writeBytes(bytes);
      out.release();
    }
    return all.toByteArray();
  }

  long bufferedBytes() {
    return allocator.metric().usedDirectMemory() + allocator.metric().usedHeapMemory();
  }

  int outcomes() {
    return outcomes;
  }

  @Override
  public void close() {
    channel.finishAndReleaseAll();
    channel.checkException();
    assertThat(bufferedBytes()).as("bytes of buffers that were not released").isZero();
  }

  /** How a request ended. */
  static final class Answer implements NbdConnection.ReadAnswer, NbdConnection.ExtentsAnswer {
    byte[] data;
    int onWire;
    List<NbdConnection.Extent> extents;
    String failure;
    int ends;

    @Override
    public void data(ByteBuf buffer, int wire) {
      ends++;
      onWire = wire;
      data = new byte[buffer.readableBytes()];
      buffer.readBytes(data);
      buffer.release();
    }

    @Override
    public void extents(List<NbdConnection.Extent> found) {
      ends++;
      extents = found;
    }

    @Override
    public void failed(IOException error) {
      ends++;
      failure = error.getMessage();
    }
  }
}
