// SPDX-License-Identifier: Apache-2.0
package io.vmferry.nbd;

import java.io.ByteArrayOutputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;

/**
 * What a client sends, encoded with numbers of its own, so that a wrong number in {@link
 * NbdProtocol} can't agree with itself.
 */
final class ClientBytes {
  private final ByteArrayOutputStream bytes = new ByteArrayOutputStream();
  private final DataOutputStream out = new DataOutputStream(bytes);

  private interface Encoding {
    void run() throws IOException;
  }

  byte[] toBytes() {
    return bytes.toByteArray();
  }

  /** 3 is what modern clients send: fixed newstyle, no zeroes. */
  ClientBytes flags(int flags) {
    return encode(() -> out.writeInt(flags));
  }

  ClientBytes option(int option, byte[] data) {
    return optionHeader(option, data.length).raw(data);
  }

  ClientBytes option(int option) {
    return option(option, new byte[0]);
  }

  ClientBytes optionHeader(int option, int claimedLength) {
    return encode(
        () -> {
          out.writeBytes("IHAVEOPT");
          out.writeInt(option);
          out.writeInt(claimedLength);
        });
  }

  ClientBytes go(String export, int... infos) {
    return option(7, exportQuery(export, infos));
  }

  ClientBytes info(String export, int... infos) {
    return option(6, exportQuery(export, infos));
  }

  ClientBytes structuredReplies() {
    return option(8);
  }

  ClientBytes setMetaContext(String export, String... queries) {
    return option(10, metaContextQuery(export, queries));
  }

  ClientBytes request(int flags, int type, long cookie, long offset, int length) {
    return encode(
        () -> {
          out.writeInt(0x25609513);
          out.writeShort(flags);
          out.writeShort(type);
          out.writeLong(cookie);
          out.writeLong(offset);
          out.writeInt(length);
        });
  }

  ClientBytes read(long cookie, long offset, int length) {
    return request(0, 0, cookie, offset, length);
  }

  ClientBytes write(long cookie, long offset, byte[] data) {
    return request(0, 1, cookie, offset, data.length).raw(data);
  }

  ClientBytes disc() {
    return request(0, 2, 0, 0, 0);
  }

  ClientBytes raw(byte[] data) {
    return encode(() -> out.write(data));
  }

  static byte[] exportQuery(String export, int... infos) {
    ClientBytes data = new ClientBytes().string(export);
    return data.encode(
            () -> {
              data.out.writeShort(infos.length);
              for (int info : infos) {
                data.out.writeShort(info);
              }
            })
        .toBytes();
  }

  static byte[] metaContextQuery(String export, String... queries) {
    ClientBytes data = new ClientBytes().string(export);
    data.encode(() -> data.out.writeInt(queries.length));
    for (String query : queries) {
      data.string(query);
    }
    return data.toBytes();
  }

  static byte[] utf8(String text) {
    return text.getBytes(StandardCharsets.UTF_8);
  }

  private ClientBytes string(String text) {
    byte[] data = utf8(text);
    return encode(() -> out.writeInt(data.length)).raw(data);
  }

  private ClientBytes encode(Encoding encoding) {
    try {
      encoding.run();
      return this;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
