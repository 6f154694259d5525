// SPDX-License-Identifier: Apache-2.0
package io.vmferry.nbd;

import static io.vmferry.nbd.NbdProtocol.BASE_ALLOCATION_ID;
import static io.vmferry.nbd.NbdProtocol.CHUNK_HEADER_BYTES;
import static io.vmferry.nbd.NbdProtocol.OFFSET_BYTES;
import static io.vmferry.nbd.NbdProtocol.REPLY_FLAG_DONE;
import static io.vmferry.nbd.NbdProtocol.REPLY_TYPE_BLOCK_STATUS;
import static io.vmferry.nbd.NbdProtocol.REPLY_TYPE_ERROR;
import static io.vmferry.nbd.NbdProtocol.REPLY_TYPE_OFFSET_DATA;
import static io.vmferry.nbd.NbdProtocol.SIMPLE_REPLY_BYTES;
import static io.vmferry.nbd.NbdProtocol.SIMPLE_REPLY_MAGIC;
import static io.vmferry.nbd.NbdProtocol.STRUCTURED_REPLY_MAGIC;

import io.netty.buffer.ByteBuf;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelOutboundBuffer;
import io.netty.channel.FileRegion;
import io.netty.channel.unix.UnixChannel;

/**
 * Encodes the replies of one connection. Replies without data are gathered in one buffer until the
 * next flush; replies with data are one buffer each, header in front.
 */
final class ReplyWriter {

  /** Bytes; 256 simple replies, more than are ever in flight. */
  private static final int GATHER_BYTES = 4096;

  private final ChannelHandlerContext ctx;
  private final boolean structured;
  private final Runnable flush = this::flush;
  private ByteBuf gathered;
  private boolean flushScheduled;

  ReplyWriter(ChannelHandlerContext ctx, boolean structured) {
    this.ctx = ctx;
    this.structured = structured;
  }

  /** Success of a request whose reply has no data. */
  void success(long cookie) {
    simple(cookie, 0);
  }

  /** Failure of any request. {@code why} reaches the client if structured replies were agreed. */
  void error(long cookie, NbdError error, String why) {
    if (!structured) {
      simple(cookie, error.code());
      return;
    }
    byte[] text = NbdStrings.encode(why);
    int length = Integer.BYTES + Short.BYTES + text.length;
    ByteBuf out = room(CHUNK_HEADER_BYTES + length);
    chunkHeader(out, REPLY_TYPE_ERROR, cookie, length);
    out.writeInt(error.code()).writeShort(text.length).writeBytes(text);
  }

  /** A buffer with the header of a successful read, and room for exactly {@code length} bytes. */
  ByteBuf dataBuffer(long cookie, long offset, int length) {
    if (!structured) {
      int capacity = SIMPLE_REPLY_BYTES + length;
      ByteBuf out = ctx.alloc().directBuffer(capacity, capacity);
      return out.writeInt(SIMPLE_REPLY_MAGIC).writeInt(0).writeLong(cookie);
    }
    int capacity = CHUNK_HEADER_BYTES + OFFSET_BYTES + length;
    ByteBuf out = ctx.alloc().directBuffer(capacity, capacity);
    chunkHeader(out, REPLY_TYPE_OFFSET_DATA, cookie, OFFSET_BYTES + length);
    return out.writeLong(offset);
  }

  /** Sends what {@link #dataBuffer} gave; takes over its ownership. */
  void data(ByteBuf filled) {
    send(filled);
  }

  /**
   * Descriptor of the socket, if what was written before is sent or can be now; -1 if the client
   * has to take something first, or there is no such socket.
   */
  int socket() {
    if (!(ctx.channel() instanceof UnixChannel channel)) {
      return -1;
    }
    ChannelOutboundBuffer unsent = ctx.channel().unsafe().outboundBuffer();
    if (unsent == null) {
      return -1; // the channel is closed
    }
    if (unsent.totalPendingWriteBytes() > 0) {
      ctx.flush();
    }
    return unsent.isEmpty() ? channel.fd().intValue() : -1;
  }

  /**
   * Sends the header that {@link #dataBuffer} gave, and the data from its file, as far as the
   * socket has room; takes over the ownership of both.
   */
  void data(ByteBuf header, FileRegion data) {
    send(header);
    var unused = ctx.write(data, ctx.voidPromise());
    ctx.flush();
  }

  /** Extents of base:allocation, encoded; takes over their ownership. */
  void blockStatus(long cookie, ByteBuf extents) {
    int length = Integer.BYTES + extents.readableBytes();
    ByteBuf out = room(CHUNK_HEADER_BYTES + Integer.BYTES);
    chunkHeader(out, REPLY_TYPE_BLOCK_STATUS, cookie, length);
    out.writeInt(BASE_ALLOCATION_ID);
    writeGathered();
    send(extents);
  }

  /** Sends everything now. */
  void flush() {
    flushScheduled = false;
    writeGathered();
    ctx.flush();
  }

  /** Sends everything after the tasks that are already waiting, so that they share one flush. */
  void flushSoon() {
    if (!flushScheduled) {
      flushScheduled = true;
      ctx.executor().execute(flush);
    }
  }

  /** Gives the memory back; nothing is sent any more. */
  void release() {
    if (gathered != null) {
      gathered.release();
      gathered = null;
    }
  }

  private void simple(long cookie, int error) {
    room(SIMPLE_REPLY_BYTES).writeInt(SIMPLE_REPLY_MAGIC).writeInt(error).writeLong(cookie);
  }

  /** Every reply here has one chunk, so each is the last of its reply. */
  private static void chunkHeader(ByteBuf out, int type, long cookie, int length) {
    out.writeInt(STRUCTURED_REPLY_MAGIC).writeShort(REPLY_FLAG_DONE).writeShort(type);
    out.writeLong(cookie).writeInt(length);
  }

  private ByteBuf room(int bytes) {
    if (gathered != null && gathered.writableBytes() < bytes) {
      writeGathered();
    }
    if (gathered == null) {
      int capacity = Math.max(GATHER_BYTES, bytes);
      gathered = ctx.alloc().directBuffer(capacity, capacity);
    }
    return gathered;
  }

  private void writeGathered() {
    if (gathered != null) {
      ByteBuf out = gathered;
      gathered = null;
      send(out);
    }
  }

  /** Allocates no promise; a failed write reaches the handler's exceptionCaught. */
  private void send(ByteBuf out) {
    var unused = ctx.write(out, ctx.voidPromise());
  }
}
