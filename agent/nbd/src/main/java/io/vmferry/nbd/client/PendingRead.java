// SPDX-License-Identifier: Apache-2.0
package io.vmferry.nbd.client;

import static io.vmferry.nbd.NbdProtocol.CMD_READ;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.ByteBufAllocator;

/** A read; its buffer is taken when the first of its bytes is here. */
final class PendingRead extends PendingRequest {
  private final ByteBufAllocator allocator;
  private final NbdConnection.ReadAnswer answer;
  private final Coverage coverage = new Coverage();
  private int received;
  private ByteBuf buffer;

  PendingRead(
      long offset, int length, ByteBufAllocator allocator, NbdConnection.ReadAnswer answer) {
    super(CMD_READ, offset, length, answer);
    this.allocator = allocator;
    this.answer = answer;
  }

  /** Where in the buffer a part of the range is. */
  int at(long partOffset, int partLength) throws NbdServerException {
    long at = partOffset - offset();
    if (partOffset < offset() || at > length() - partLength) {
      throw new NbdServerException("a chunk outside of what was asked for");
    }
    return (int) at;
  }

  /** Data for this place in the buffer comes next. */
  void beginData(int at, int bytes) throws NbdServerException {
    cover(at, bytes);
    received += bytes;
  }

  /** A chunk that is a hole has come. */
  void addHole(ByteBuf body) throws NbdServerException {
    if (body.readableBytes() != Long.BYTES + Integer.BYTES) {
      throw new NbdServerException("a hole of %d bytes".formatted(body.readableBytes()));
    }
    long holeOffset = body.readLong();
    long holeLength = body.readUnsignedInt();
    if (holeLength == 0 || holeLength > length()) {
      throw new NbdServerException("a hole of length " + holeLength);
    }
    int at = at(holeOffset, (int) holeLength);
    cover(at, (int) holeLength);
    buffer().setZero(at, (int) holeLength);
  }

  /** Takes the whole range; filled at any place, in any order. */
  ByteBuf buffer() {
    if (buffer == null) {
      buffer = allocator.directBuffer((int) length(), (int) length());
      buffer.writerIndex((int) length());
    }
    return buffer;
  }

  private void cover(int at, int bytes) throws NbdServerException {
    String problem = coverage.add(at, at + bytes);
    if (problem != null) {
      throw new NbdServerException("the server sent " + problem);
    }
  }

  @Override
  boolean isWhole() {
    return coverage.isWhole((int) length());
  }

  @Override
  void succeed() {
    ByteBuf whole = buffer;
    buffer = null;
    answer.data(whole, received);
  }

  @Override
  String verb() {
    return "read";
  }

  @Override
  void release() {
    if (buffer != null) {
      buffer.release();
      buffer = null;
    }
  }

  @Override
  void checkPlace(long errorOffset) throws NbdServerException {
    at(errorOffset, 1);
  }
}
