// SPDX-License-Identifier: Apache-2.0
package io.vmferry.nbd;

import static io.vmferry.nbd.NbdLimits.MAX_OPTION_BYTES;
import static io.vmferry.nbd.NbdLimits.MAX_SKIPPED_OPTION_BYTES;
import static io.vmferry.nbd.NbdProtocol.IHAVEOPT;
import static io.vmferry.nbd.NbdProtocol.OPTION_HEADER_BYTES;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.ByteBufAllocator;

/**
 * Cuts what the client sends during the handshake into client flags and options. Holds at most one
 * option and what one socket read brought behind it: data of an option that is too long is thrown
 * away as it comes.
 */
final class OptionDecoder {

  enum Event {
    /** Nothing more can be said before more bytes come. */
    NEED_MORE,
    /** {@link #clientFlags()} is known; once, first. */
    CLIENT_FLAGS,
    /** {@link #option()} came with {@link #data()}. */
    OPTION,
    /** {@link #option()} came, and its data was too long to keep. */
    OVERSIZED_OPTION,
    /** The option claims more than a client ever sends; the connection can't go on. */
    UNREASONABLE_LENGTH,
    /** What should be an option isn't; the connection can't go on. */
    BAD_MAGIC
  }

  private enum State {
    CLIENT_FLAGS,
    HEADER,
    DATA,
    SKIP
  }

  private static final int INITIAL_BYTES = 256;

  private final ByteBuf received;
  private State state = State.CLIENT_FLAGS;
  private int clientFlags;
  private int option;
  private long length;
  private long toSkip;
  private ByteBuf data;

  OptionDecoder(ByteBufAllocator allocator) {
    received = allocator.buffer(INITIAL_BYTES);
  }

  /** Adds what came; releases {@code in}. */
  void feed(ByteBuf in) {
    try {
      skipFrom(in);
      received.discardSomeReadBytes();
      received.writeBytes(in);
    } finally {
      in.release();
    }
  }

  Event next() {
    return switch (state) {
      case CLIENT_FLAGS -> nextClientFlags();
      case HEADER -> nextHeader();
      case DATA -> nextData();
      case SKIP -> nextSkip();
    };
  }

  int clientFlags() {
    return clientFlags;
  }

  int option() {
    return option;
  }

  /** Bytes of data that the option claims. */
  long length() {
    return length;
  }

  /** Exactly the option's data; valid until the next call of {@link #feed}. */
  ByteBuf data() {
    return data;
  }

  /** What came behind the last option; the caller releases it. The decoder is at its end. */
  ByteBuf remainder() {
    return received;
  }

  /** Gives the memory back. The decoder is at its end. */
  void release() {
    received.release();
  }

  private Event nextClientFlags() {
    if (received.readableBytes() < Integer.BYTES) {
      return Event.NEED_MORE;
    }
    clientFlags = received.readInt();
    state = State.HEADER;
    return Event.CLIENT_FLAGS;
  }

  private Event nextHeader() {
    if (received.readableBytes() < OPTION_HEADER_BYTES) {
      return Event.NEED_MORE;
    }
    if (received.readLong() != IHAVEOPT) {
      return Event.BAD_MAGIC;
    }
    option = received.readInt();
    length = received.readUnsignedInt();
    if (length > MAX_SKIPPED_OPTION_BYTES) {
      return Event.UNREASONABLE_LENGTH;
    }
    if (length > MAX_OPTION_BYTES) {
      toSkip = length;
      state = State.SKIP;
    } else {
      state = State.DATA;
    }
    return next();
  }

  private Event nextData() {
    if (received.readableBytes() < length) {
      return Event.NEED_MORE;
    }
    data = received.readSlice((int) length);
    state = State.HEADER;
    return Event.OPTION;
  }

  private Event nextSkip() {
    skipFrom(received);
    if (toSkip > 0) {
      return Event.NEED_MORE;
    }
    state = State.HEADER;
    return Event.OVERSIZED_OPTION;
  }

  private void skipFrom(ByteBuf in) {
    if (state == State.SKIP) {
      int now = (int) Math.min(toSkip, in.readableBytes());
      in.skipBytes(now);
      toSkip -= now;
    }
  }
}
