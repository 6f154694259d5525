// SPDX-License-Identifier: Apache-2.0
package io.vmferry.nbd.client;

import java.io.ByteArrayOutputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;

/** What a server sends, encoded with numbers of its own. */
final class ServerSays {
  static final int ACK = 1;
  static final int ERR_UNSUP = 0x80000001;
  static final int ERR_UNKNOWN = 0x80000006;
  static final int ERR_TLS_REQD = 0x80000005;

  private final ByteArrayOutputStream bytes = new ByteArrayOutputStream();
  private final DataOutputStream out = new DataOutputStream(bytes);

  private interface Encoding {
    void run() throws IOException;
  }

  byte[] toBytes() {
    return bytes.toByteArray();
  }

  /** 3: fixed newstyle, no zeroes. */
  ServerSays greeting(int flags) {
    return encode(
        () -> {
          out.writeBytes("NBDMAGICIHAVEOPT");
          out.writeShort(flags);
        });
  }

  ServerSays reply(int option, int type, byte... data) {
    return encode(
        () -> {
          out.writeLong(0x3e889045565a9L);
          out.writeInt(option);
          out.writeInt(type);
          out.writeInt(data.length);
          out.write(data);
        });
  }

  ServerSays ack(int option) {
    return reply(option, ACK);
  }

  ServerSays refuse(int option, int type, String text) {
    return reply(option, type, text.getBytes(StandardCharsets.UTF_8));
  }

  ServerSays context(int id) {
    return reply(10, 4, new ServerSays().number(id).text("base:allocation").toBytes());
  }

  ServerSays export(long size, int flags) {
    byte[] data = new ServerSays().half(0).wide(size).half(flags).toBytes();
    return reply(7, 3, data);
  }

  ServerSays blockSizes(int min, int preferred, int max) {
    byte[] data = new ServerSays().half(3).number(min).number(preferred).number(max).toBytes();
    return reply(7, 3, data);
  }

  /** All that a good server says until it is in transmission. */
  ServerSays welcome(long size) {
    return greeting(3).ack(8).context(1).ack(10).export(size, 1).ack(7);
  }

  ServerSays simple(int error, long cookie, byte... data) {
    return number(0x67446698).number(error).wide(cookie).raw(data);
  }

  ServerSays chunk(int flags, int type, long cookie, byte... data) {
    return number(0x668e33ef).half(flags).half(type).wide(cookie).number(data.length).raw(data);
  }

  ServerSays data(int flags, long cookie, long offset, byte... data) {
    return chunk(flags, 1, cookie, new ServerSays().wide(offset).raw(data).toBytes());
  }

  ServerSays hole(int flags, long cookie, long offset, int length) {
    return chunk(flags, 2, cookie, new ServerSays().wide(offset).number(length).toBytes());
  }

  ServerSays error(int flags, long cookie, int error, String text) {
    byte[] utf8 = text.getBytes(StandardCharsets.UTF_8);
    return chunk(
        flags,
        0x8001,
        cookie,
        new ServerSays().number(error).half(utf8.length).raw(utf8).toBytes());
  }

  ServerSays extents(long cookie, int... numbers) {
    ServerSays data = new ServerSays().number(1);
    for (int number : numbers) {
      data.number(number);
    }
    return chunk(1, 5, cookie, data.toBytes());
  }

  ServerSays half(int value) {
    return encode(() -> out.writeShort(value));
  }

  ServerSays number(int value) {
    return encode(() -> out.writeInt(value));
  }

  ServerSays wide(long value) {
    return encode(() -> out.writeLong(value));
  }

  ServerSays text(String text) {
    return raw(text.getBytes(StandardCharsets.UTF_8));
  }

  ServerSays raw(byte[] data) {
    return encode(() -> out.write(data));
  }

  private ServerSays encode(Encoding encoding) {
    try {
      encoding.run();
      return this;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
