// SPDX-License-Identifier: Apache-2.0
package io.vmferry.nbd;

import java.io.DataInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;

/** What a server sends, read with numbers of its own. An end in the middle throws. */
final class ServerBytes {
  private final DataInputStream in;

  record OptionReply(int option, int type, ByteBuffer data) {
    String text() {
      return StandardCharsets.UTF_8.decode(data.duplicate()).toString();
    }
  }

  /** A simple reply, or one structured chunk. {@code data} is what follows the header. */
  record Reply(boolean structured, int flags, int type, long cookie, int error, ByteBuffer data) {}

  private interface Decoding<T> {
    T run() throws IOException;
  }

  ServerBytes(InputStream in) {
    this.in = new DataInputStream(in);
  }

  byte[] raw(int length) {
    return decode(() -> in.readNBytes(length));
  }

  /** True if nothing more comes. */
  boolean atEnd() {
    return decode(() -> in.read() < 0);
  }

  ServerBytes skipGreeting() {
    raw(18);
    return this;
  }

  OptionReply optionReply() {
    return decode(
        () -> {
          expect(0x3e889045565a9L, in.readLong());
          int option = in.readInt();
          int type = in.readInt();
          return new OptionReply(option, type, exactly(in.readInt()));
        });
  }

  /** Skips the replies to an option until the last one, an ACK or an error. */
  OptionReply lastOptionReply() {
    OptionReply reply = optionReply();
    while (reply.type() != 1 && reply.type() > 0) {
      reply = optionReply();
    }
    return reply;
  }

  /** The reply to a request that isn't a read, or any structured reply. */
  Reply reply() {
    return reply(0);
  }

  /**
   * @param dataLength bytes that follow a successful simple reply
   */
  Reply reply(int dataLength) {
    return decode(
        () -> {
          int magic = in.readInt();
          if (magic == 0x67446698) {
            int error = in.readInt();
            long cookie = in.readLong();
            return new Reply(false, 0, 0, cookie, error, exactly(error == 0 ? dataLength : 0));
          }
          expect(0x668e33ef, magic);
          int flags = in.readUnsignedShort();
          int type = in.readUnsignedShort();
          long cookie = in.readLong();
          ByteBuffer data = exactly(in.readInt());
          int error = type >= 0x8000 ? data.getInt(0) : 0;
          return new Reply(true, flags, type, cookie, error, data);
        });
  }

  private ByteBuffer exactly(int length) throws IOException {
    byte[] data = in.readNBytes(length);
    expect(length, data.length);
    return ByteBuffer.wrap(data);
  }

  private static void expect(long expected, long found) {
    if (expected != found) {
      throw new AssertionError("expected 0x%x, found 0x%x".formatted(expected, found));
    }
  }

  private static <T> T decode(Decoding<T> decoding) {
    try {
      return decoding.run();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
