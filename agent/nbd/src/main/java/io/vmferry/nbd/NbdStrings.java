// SPDX-License-Identifier: Apache-2.0
package io.vmferry.nbd;

import static io.vmferry.nbd.NbdProtocol.MAX_STRING_BYTES;

import io.netty.buffer.ByteBuf;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;

/** The protocol's rule for strings, both ways: UTF-8, no NUL, at most 4096 bytes. */
final class NbdStrings {

  private NbdStrings() {}

  /**
   * Takes a string of {@code length} bytes from {@code in}.
   *
   * @param what names the string in the error, such as "export name"
   * @param length as the client wrote it; negative means 2 GiB and more
   * @throws OptionException if it is longer than the option or than allowed, or isn't text
   */
  static String read(ByteBuf in, int length, String what) throws OptionException {
    if (length < 0 || length > in.readableBytes()) {
      throw OptionException.invalid(
          "The %s claims %s bytes, but the option has only %d left."
              .formatted(what, Integer.toUnsignedString(length), in.readableBytes()));
    }
    if (length > MAX_STRING_BYTES) {
      throw OptionException.invalid(
          "The %s has %d bytes; at most %d are allowed.".formatted(what, length, MAX_STRING_BYTES));
    }
    byte[] bytes = new byte[length];
    in.readBytes(bytes);
    for (byte b : bytes) {
      if (b == 0) {
        throw OptionException.invalid("The %s contains a NUL byte.".formatted(what));
      }
    }
    try {
      return StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(bytes)).toString();
    } catch (CharacterCodingException e) {
      throw OptionException.invalid("The %s is not UTF-8.".formatted(what));
    }
  }

  /** The bytes of a text for a reply: NULs replaced, cut between characters if it is too long. */
  static byte[] encode(String text) {
    byte[] bytes = text.replace('\0', ' ').getBytes(StandardCharsets.UTF_8);
    if (bytes.length <= MAX_STRING_BYTES) {
      return bytes;
    }
    int end = MAX_STRING_BYTES;
    while ((bytes[end] & 0xc0) == 0x80) {
      end--;
    }
    return Arrays.copyOf(bytes, end);
  }
}
