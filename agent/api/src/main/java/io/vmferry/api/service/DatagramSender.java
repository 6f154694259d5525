// SPDX-License-Identifier: Apache-2.0
package io.vmferry.api.service;

import com.sun.jna.Native;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;

/**
 * Sends datagrams to a Unix socket, which Java's own library can't. By JNA, because that is loaded
 * in both processes anyway and needs no thread. Never waits: a full queue is an error.
 */
final class DatagramSender {
  private static final int AF_UNIX = 1;
  private static final int SOCK_DGRAM = 2;
  private static final int SOCK_CLOEXEC = 0x80000;
  private static final int MSG_DONTWAIT = 0x40;
  private static final int MSG_NOSIGNAL = 0x4000;
  private static final int ENAMETOOLONG = 36;

  /** Bytes of sun_path. */
  private static final int MAX_PATH = 108;

  private final String name;

  /** A struct sockaddr_un without the unused end of its path. */
  private final byte[] address;

  /** The C library's functions. */
  private static final class Functions {
    static {
      Native.register(Functions.class, "c");
    }

    static native int socket(int domain, int type, int protocol);

    static native long sendto(
        int fd, byte[] data, long length, int flags, byte[] address, int addressLength);

    static native int close(int fd);
  }

  /**
   * A sender to one address.
   *
   * @param name path of the socket, or @ and the name of an abstract one
   */
  DatagramSender(String name) {
    this.name = name;
    byte[] path = name.getBytes(StandardCharsets.UTF_8);
    if (path[0] == '@') {
      path[0] = 0;
    }
    address =
        ByteBuffer.allocate(Short.BYTES + path.length)
            .order(ByteOrder.nativeOrder())
            .putShort((short) AF_UNIX)
            .put(path)
            .array();
  }

  /** Sends, and returns 0 or the error number. */
  int send(String text) {
    if (address.length > Short.BYTES + MAX_PATH) {
      return ENAMETOOLONG;
    }
    int fd = Functions.socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
      return Native.getLastError();
    }
    byte[] data = text.getBytes(StandardCharsets.UTF_8);
    int flags = MSG_DONTWAIT | MSG_NOSIGNAL;
    long sent = Functions.sendto(fd, data, data.length, flags, address, address.length);
    int error = sent < 0 ? Native.getLastError() : 0;
    int unused = Functions.close(fd);
    return error;
  }

  @Override
  public String toString() {
    return name;
  }
}
