// SPDX-License-Identifier: Apache-2.0
package io.vmferry.nbd.client;

import static io.vmferry.nbd.NbdProtocol.REPLY_TYPE_ERROR_OFFSET;
import static io.vmferry.nbd.NbdProtocol.commandName;

import io.netty.buffer.ByteBuf;
import java.io.IOException;
import java.nio.charset.StandardCharsets;

/**
 * A request that is under way, and what of its answer has come: checked, so that only a whole and
 * consistent answer succeeds. On the connection's event loop.
 */
abstract class PendingRequest {
  /** Bytes of an error's text. */
  private static final int MAX_TEXT = 4096;

  private final int command;
  private final long offset;
  private final long length;
  private final NbdConnection.Answer answer;
  private IOException error;

  /**
   * Begins a request.
   *
   * @param answer is told of the end by exactly one of {@link #succeed} and {@link #fail}
   */
  PendingRequest(int command, long offset, long length, NbdConnection.Answer answer) {
    this.command = command;
    this.offset = offset;
    this.length = length;
    this.answer = answer;
  }

  /** Whether nothing of the answer is missing. */
  abstract boolean isWhole();

  /** It is answered, and {@link #isWhole whole}. */
  abstract void succeed();

  /** What it does to a range, for people. */
  abstract String verb();

  /** Frees what was received; nothing of it is used. */
  void release() {}

  /** The place of an error. */
  void checkPlace(long errorOffset) throws NbdServerException {}

  final int command() {
    return command;
  }

  final long offset() {
    return offset;
  }

  final long length() {
    return length;
  }

  final String name() {
    return commandName(command);
  }

  /** The first error that the server sent for a part of it; null if none. */
  final IOException error() {
    return error;
  }

  final void fail(IOException why) {
    release();
    answer.failed(why);
  }

  /**
   * A chunk that is an error has come.
   *
   * @param type one with the error bit
   */
  final void addError(int type, ByteBuf body) throws NbdServerException {
    if (body.readableBytes() < Integer.BYTES + Short.BYTES) {
      throw new NbdServerException("an error of %d bytes".formatted(body.readableBytes()));
    }
    int code = body.readInt();
    int textLength = body.readUnsignedShort();
    int behind = type == REPLY_TYPE_ERROR_OFFSET ? Long.BYTES : 0;
    if (code == 0 || textLength > MAX_TEXT || body.readableBytes() < textLength + behind) {
      throw new NbdServerException("an error that is none, or whose text doesn't fit");
    }
    String text = body.readCharSequence(textLength, StandardCharsets.UTF_8).toString();
    if (type == REPLY_TYPE_ERROR_OFFSET) {
      checkPlace(body.readLong());
    }
    if (error == null) {
      error = refusal(code, text.replaceAll("\\p{Cntrl}", " "));
    }
  }

  /**
   * The server refused it.
   *
   * @param text what it said to that, maybe nothing
   */
  final IOException refusal(int code, String text) {
    return new NbdServerException(
        "the server failed to %s %d bytes at %d: %s%s"
            .formatted(
                verb(), length, offset, Errno.name(code), text.isEmpty() ? "" : " (" + text + ")"));
  }
}
