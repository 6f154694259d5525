// SPDX-License-Identifier: Apache-2.0
package io.vmferry.nbd;

import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.Channels;
import java.nio.channels.SocketChannel;
import java.nio.file.Path;

/** A client on a real socket. Blocking; the tests' timeouts interrupt it. */
final class TestClient implements AutoCloseable {
  private final SocketChannel socket;
  final ServerBytes received;

  TestClient(Path path) throws IOException {
    socket = SocketChannel.open(StandardProtocolFamily.UNIX);
    socket.connect(UnixDomainSocketAddress.of(path));
    received = new ServerBytes(Channels.newInputStream(socket));
  }

  /** A client in transmission, with structured replies. */
  static TestClient transmitting(Path path) throws IOException {
    TestClient client = new TestClient(path);
    client.send(new ClientBytes().flags(3).structuredReplies().go("disk"));
    client.received.skipGreeting();
    client.received.lastOptionReply();
    client.received.lastOptionReply();
    return client;
  }

  void send(ClientBytes bytes) throws IOException {
    send(bytes.toBytes());
  }

  void send(byte[] bytes) throws IOException {
    ByteBuffer out = ByteBuffer.wrap(bytes);
    while (out.hasRemaining()) {
      socket.write(out);
    }
  }

  @Override
  public void close() throws IOException {
    socket.close();
  }
}
