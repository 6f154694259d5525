// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.peer;

import io.vmferry.config.HostPort;
import java.io.Closeable;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;

/** Forwards TCP connections; can swallow all bytes while connections stay open. */
final class TestProxy implements Closeable {
  private final ServerSocket listener;
  private final HostPort target;
  private final List<Socket> sockets = new CopyOnWriteArrayList<>();
  private volatile boolean swallow;

  TestProxy(HostPort target) throws IOException {
    this.target = target;
    listener = new ServerSocket(0, 50, InetAddress.getLoopbackAddress());
    daemon(this::accept);
  }

  /** An address on loopback where nobody listens. */
  static HostPort closedPort() throws IOException {
    try (ServerSocket unused = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
      return address(unused);
    }
  }

  HostPort address() {
    return address(listener);
  }

  private static HostPort address(ServerSocket socket) {
    return new HostPort(socket.getInetAddress().getHostAddress(), socket.getLocalPort());
  }

  void swallow(boolean on) {
    swallow = on;
  }

  /** Ends all connections; new ones are accepted. */
  void cut() throws IOException {
    for (Socket socket : sockets) {
      socket.close();
    }
  }

  @Override
  public void close() throws IOException {
    listener.close();
    cut();
  }

  private void accept() {
    try {
      while (true) {
        Socket in = listener.accept();
        Socket out = new Socket(target.host(), target.port());
        sockets.add(in);
        sockets.add(out);
        daemon(() -> pump(in, out));
        daemon(() -> pump(out, in));
      }
    } catch (IOException e) {
      // Closed: the test is over.
    }
  }

  private void pump(Socket from, Socket to) {
    byte[] buffer = new byte[16 * 1024];
    try (from;
        to) {
      InputStream in = from.getInputStream();
      OutputStream out = to.getOutputStream();
      for (int n = in.read(buffer); n >= 0; n = in.read(buffer)) {
        if (!swallow) {
          out.write(buffer, 0, n);
        }
      }
    } catch (IOException e) {
      // One side has closed; try-with-resources closes the other.
    }
  }

  private static void daemon(Runnable work) {
    Thread thread = new Thread(work, "test-proxy");
    thread.setDaemon(true);
    thread.start();
  }
}
