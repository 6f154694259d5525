// SPDX-License-Identifier: Apache-2.0
package io.vmferry.nbd;

import static io.vmferry.nbd.NbdProtocol.REQUEST_HEADER_BYTES;
import static io.vmferry.nbd.NbdProtocol.REQUEST_MAGIC;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.ByteBufAllocator;

/**
 * Cuts what the client sends in the transmission phase into requests and payloads, wherever the
 * socket cut it before. Whoever gets a request with a payload says whether it is wanted, before
 * memory is given to it. The rest of a payload that has begun may be received in its own buffer.
 */
final class RequestDecoder {

  enum Event {
    /** The buffer is used up. */
    NEED_MORE,
    /** {@link #request()} is complete; a payload follows if it is a write. */
    REQUEST,
    /** The payload is complete, see {@link #takePayload()}. */
    PAYLOAD,
    /** The unwanted payload is over. */
    SKIPPED,
    /** What should be a request isn't; the connection can't go on. */
    BAD_MAGIC
  }

  private enum State {
    HEADER,
    PAYLOAD,
    SKIP
  }

  private final ByteBufAllocator allocator;
  private final Request request = new Request();

  /** A header that the socket cut. */
  private final ByteBuf partialHeader;

  private State state = State.HEADER;
  private ByteBuf payload;
  private long toSkip;

  RequestDecoder(ByteBufAllocator allocator) {
    this.allocator = allocator;
    partialHeader = allocator.heapBuffer(REQUEST_HEADER_BYTES, REQUEST_HEADER_BYTES);
  }

  Event next(ByteBuf in) {
    return switch (state) {
      case HEADER -> header(in);
      case PAYLOAD -> payload(in);
      case SKIP -> skip(in);
    };
  }

  Request request() {
    return request;
  }

  /** Wants the payload of {@link #request()}; its length must be from 1 to the maximum. */
  void expectPayload() {
    state = State.PAYLOAD;
  }

  /** Doesn't want it; its length must not be 0. */
  void skipPayload() {
    state = State.SKIP;
    toSkip = request.length;
  }

  /** The complete payload; the caller owns it. */
  ByteBuf takePayload() {
    ByteBuf taken = payload;
    payload = null;
    state = State.HEADER;
    return taken;
  }

  /**
   * The buffer of the wanted payload, for its next bytes to be received in it; null if none is
   * wanted now or if fewer than {@code least} bytes are missing. It stays the decoder's.
   */
  ByteBuf roomForPayload(int least) {
    if (state != State.PAYLOAD) {
      return null;
    }
    int missing = payload == null ? (int) request.length : payload.writableBytes();
    if (missing < least) {
      return null;
    }
    if (payload == null) {
      payload = allocator.directBuffer(missing, missing);
    }
    return payload;
  }

  /** Whether {@code received} was received in {@link #roomForPayload}: there is nothing to cut. */
  @SuppressWarnings("ReferenceEquality") // the same buffer, not an equal one
  boolean isPayload(ByteBuf received) {
    return received == payload;
  }

  /** Whether what was received in {@link #roomForPayload} is all of it. */
  boolean payloadReceived() {
    return payload != null && !payload.isWritable();
  }

  /** Bytes of the payload that is being received or came last; 0 if none, or if it is skipped. */
  long payloadBytes() {
    return state != State.SKIP && request.isWrite() ? request.length : 0;
  }

  /** Gives the memory back. The decoder is at its end. */
  void release() {
    partialHeader.release();
    if (payload != null) {
      payload.release();
      payload = null;
    }
  }

  private Event header(ByteBuf in) {
    if (!partialHeader.isReadable() && in.readableBytes() >= REQUEST_HEADER_BYTES) {
      return parse(in);
    }
    in.readBytes(partialHeader, Math.min(in.readableBytes(), partialHeader.writableBytes()));
    if (partialHeader.isWritable()) {
      return Event.NEED_MORE;
    }
    Event event = parse(partialHeader);
    partialHeader.clear();
    return event;
  }

  private Event parse(ByteBuf in) {
    if (in.readInt() != REQUEST_MAGIC) {
      return Event.BAD_MAGIC;
    }
    request.read(in);
    return Event.REQUEST;
  }

  private Event payload(ByteBuf in) {
    int length = (int) request.length;
    if (payload == null) {
      if (in.readableBytes() >= length) {
        payload = in.readRetainedSlice(length);
        return Event.PAYLOAD;
      }
      payload = allocator.directBuffer(length, length);
    }
    in.readBytes(payload, Math.min(in.readableBytes(), payload.writableBytes()));
    return payload.isWritable() ? Event.NEED_MORE : Event.PAYLOAD;
  }

  private Event skip(ByteBuf in) {
    int now = (int) Math.min(toSkip, in.readableBytes());
    in.skipBytes(now);
    toSkip -= now;
    if (toSkip > 0) {
      return Event.NEED_MORE;
    }
    state = State.HEADER;
    return Event.SKIPPED;
  }
}
