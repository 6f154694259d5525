// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.peer;

import com.google.protobuf.InvalidProtocolBufferException;
import io.netty.buffer.ByteBuf;
import io.netty.buffer.Unpooled;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelInboundHandlerAdapter;
import io.vmferry.relay.peer.wire.Frame;
import java.nio.ByteBuffer;

/**
 * Cuts the stream into {@link PeerFrame}s.
 *
 * <p>A frame that lies whole in one received buffer is sliced out of it; a frame spread over
 * several is copied once, into a buffer of its own. So at most one frame is held here, and it is no
 * larger than the limits. The first violation is reported as {@link BrokenFrameException} through
 * the pipeline; everything after it is dropped, since the next frame's start is unknown.
 */
final class FrameDecoder extends ChannelInboundHandlerAdapter {

  /**
   * Memory taken at once for a frame that isn't complete yet: an extent with its header fits.
   * Larger frames (stale maps) grow with the bytes that really arrive, so that a length alone costs
   * nothing.
   */
  private static final int INITIAL_BODY_BYTES = FrameLimits.MAX_EXTENT_BYTES + 4096;

  private final byte[] prefix = new byte[FrameLimits.PREFIX_BYTES];
  private int prefixBytes;
  private int headerLength;
  private int payloadLength;
  private ByteBuf body;
  private boolean broken;
  private FrameLimits limits = FrameLimits.HANDSHAKE;

  /** Sets the limits of all frames that start after this call. On the event loop. */
  void limits(FrameLimits newLimits) {
    limits = newLimits;
  }

  @Override
  public void channelRead(ChannelHandlerContext ctx, Object message) {
    ByteBuf in = (ByteBuf) message;
    try {
      while (in.isReadable() && !broken) {
        decode(ctx, in);
      }
    } catch (BrokenFrameException e) {
      broken = true;
      releaseBody();
      ctx.fireExceptionCaught(e);
    } finally {
      in.release();
    }
  }

  @Override
  public void handlerRemoved(ChannelHandlerContext ctx) {
    broken = true;
    releaseBody();
  }

  private void decode(ChannelHandlerContext ctx, ByteBuf in) throws BrokenFrameException {
    if (prefixBytes < prefix.length) {
      readPrefix(in);
      if (prefixBytes < prefix.length) {
        return;
      }
    }
    int length = headerLength + payloadLength;
    if (body == null && in.readableBytes() >= length) {
      emit(ctx, in);
      return;
    }
    if (body == null) {
      body = ctx.alloc().directBuffer(Math.min(length, INITIAL_BODY_BYTES), length);
    }
    body.writeBytes(in, Math.min(in.readableBytes(), length - body.readableBytes()));
    if (body.readableBytes() == length) {
      ByteBuf complete = body;
      body = null;
      try {
        emit(ctx, complete);
      } finally {
        complete.release();
      }
    }
  }

  private void readPrefix(ByteBuf in) throws BrokenFrameException {
    int bytes = Math.min(in.readableBytes(), prefix.length - prefixBytes);
    in.readBytes(prefix, prefixBytes, bytes);
    prefixBytes += bytes;
    if (prefixBytes < prefix.length) {
      return;
    }
    ByteBuffer fields = ByteBuffer.wrap(prefix);
    int magic = fields.getInt();
    if (magic != FrameLimits.MAGIC) {
      throw new BrokenFrameException(String.format("magic is 0x%08x", magic));
    }
    long headerBytes = Integer.toUnsignedLong(fields.getInt());
    long payloadBytes = Integer.toUnsignedLong(fields.getInt());
    String problem = limits.problem(headerBytes, payloadBytes);
    if (problem != null) {
      throw new BrokenFrameException(problem);
    }
    headerLength = (int) headerBytes;
    payloadLength = (int) payloadBytes;
  }

  private void emit(ChannelHandlerContext ctx, ByteBuf source) throws BrokenFrameException {
    Frame header;
    try {
      header = Frame.parseFrom(source.nioBuffer(source.readerIndex(), headerLength));
    } catch (InvalidProtocolBufferException e) {
      throw new BrokenFrameException("header can't be parsed: " + e.getMessage());
    }
    source.skipBytes(headerLength);
    ByteBuf payload =
        payloadLength == 0 ? Unpooled.EMPTY_BUFFER : source.readRetainedSlice(payloadLength);
    prefixBytes = 0;
    ctx.fireChannelRead(new PeerFrame(header, payload));
  }

  private void releaseBody() {
    if (body != null) {
      body.release();
      body = null;
    }
  }
}
