// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.map;

import io.netty.buffer.ByteBuf;
import java.util.zip.CRC32C;

/**
 * What the encoded forms of maps have in common: numbers of variable length, a checksum, and how
 * one that is malformed is refused.
 *
 * @param name of the form, for the sentence that refuses it
 */
record WireForm(String name) {

  /** Appends a number: 7 bits per byte, lowest first; the highest bit says that more follow. */
  static void writeVarint(ByteBuf out, int value) {
    int rest = value;
    while (rest > 0x7f) {
      out.writeByte(rest | 0x80);
      rest >>>= 7;
    }
    out.writeByte(rest);
  }

  /** Reads a number of at most {@code maxBytes} bytes, at most 9. */
  long readVarint(ByteBuf in, int maxBytes) throws MalformedMapException {
    long value = 0;
    for (int i = 0; i < maxBytes; i++) {
      require(in.isReadable(), "a number is cut short");
      int next = in.readUnsignedByte();
      value |= (long) (next & 0x7f) << (7 * i);
      if (next < 0x80) {
        return value;
      }
    }
    throw malformed("a number is longer than " + maxBytes + " bytes");
  }

  /** CRC32C of a part of the buffer. */
  static int crc(ByteBuf buffer, int start, int length) {
    CRC32C crc = new CRC32C();
    crc.update(buffer.nioBuffer(start, length));
    return (int) crc.getValue();
  }

  void require(boolean holds, String problem) throws MalformedMapException {
    if (!holds) {
      throw malformed(problem);
    }
  }

  MalformedMapException malformed(String problem) {
    return new MalformedMapException("The " + name + " can't be used: " + problem + ".");
  }
}
