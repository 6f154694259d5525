// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.volume;

import io.netty.buffer.ByteBuf;
import io.vmferry.relay.copy.Origin;

/**
 * What another node sends goes straight into the buffer of an answer, in order, as long as that is
 * wanted. Loop only.
 */
abstract class AnswerSink implements Origin.Sink {
  private final ByteBuf buffer;
  private final int start;

  /**
   * For one answer.
   *
   * @param buffer not to be touched while {@link #wanted} is false: it belongs to a connection that
   *     may be gone
   */
  AnswerSink(ByteBuf buffer) {
    this.buffer = buffer;
    this.start = buffer.writerIndex();
  }

  /** Whether somebody still waits for this answer. */
  abstract boolean wanted();

  /** Bytes that are in the buffer already. */
  final int filled() {
    return buffer.writerIndex() - start;
  }

  final ByteBuf buffer() {
    return buffer;
  }

  /** Nothing counts of what came; only while the buffer may be touched. */
  final void empty() {
    buffer.writerIndex(start);
  }

  @Override
  public void data(long offset, ByteBuf payload, int onWire) {
    if (wanted()) {
      buffer.writeBytes(payload, payload.readerIndex(), payload.readableBytes());
    }
  }

  @Override
  public final void zeroes(long offset, int length) {
    if (wanted()) {
      buffer.writeZero(length);
    }
  }
}
