// SPDX-License-Identifier: Apache-2.0
package io.vmferry.api.service;

import com.sun.jna.Native;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;

/** systemd's end: a bound Unix datagram socket. */
final class NotifySocket implements AutoCloseable {
  private static final int AF_UNIX = 1;
  private static final int SOCK_DGRAM = 2;
  private static final int SOL_SOCKET = 1;
  private static final int SO_RCVTIMEO = 20;
  private static final long TIMEOUT_SECONDS = 10;
  private static final int MAX_BYTES = 4096;

  private final int fd;

  private static final class Functions {
    static {
      Native.register(Functions.class, "c");
    }

    static native int socket(int domain, int type, int protocol);

    static native int bind(int fd, byte[] address, int length);

    static native int setsockopt(int fd, int level, int option, long[] value, int length);

    static native long recv(int fd, byte[] buffer, long length, int flags);

    static native int close(int fd);
  }

  private NotifySocket(int fd) {
    this.fd = fd;
  }

  static NotifySocket bind(String name) throws IOException {
    int fd = Functions.socket(AF_UNIX, SOCK_DGRAM, 0);
    byte[] path = name.replace('@', '\0').getBytes(StandardCharsets.UTF_8);
    ByteBuffer address = ByteBuffer.allocate(2 + path.length).order(ByteOrder.nativeOrder());
    address.putShort((short) AF_UNIX).put(path);
    if (Functions.bind(fd, address.array(), address.capacity()) != 0) {
      throw new IOException("bind " + name + ": errno " + Native.getLastError());
    }
    long[] timeout = {TIMEOUT_SECONDS, 0};
    if (Functions.setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, timeout, 2 * Long.BYTES) != 0) {
      throw new IOException("setsockopt: errno " + Native.getLastError());
    }
    return new NotifySocket(fd);
  }

  /** The next datagram; fails after some seconds without one. */
  String next() throws IOException {
    byte[] buffer = new byte[MAX_BYTES];
    long received = Functions.recv(fd, buffer, buffer.length, 0);
    if (received < 0) {
      throw new IOException("nothing came: errno " + Native.getLastError());
    }
    return new String(buffer, 0, (int) received, StandardCharsets.UTF_8);
  }

  @Override
  public void close() {
    int unused = Functions.close(fd);
  }
}
