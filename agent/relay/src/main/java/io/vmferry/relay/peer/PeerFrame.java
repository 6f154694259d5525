// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.peer;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.Unpooled;
import io.netty.util.ReferenceCounted;
import io.vmferry.relay.peer.wire.Frame;

/** A frame in memory. Its reference count is its payload's: releasing the frame releases both. */
record PeerFrame(Frame header, ByteBuf payload) implements ReferenceCounted {

  /** A frame without payload. */
  static PeerFrame of(Frame header) {
    return new PeerFrame(header, Unpooled.EMPTY_BUFFER);
  }

  /** Bytes that this frame takes in the stream. */
  int wireBytes() {
    return FrameLimits.PREFIX_BYTES + header.getSerializedSize() + payload.readableBytes();
  }

  @Override
  public int refCnt() {
    return payload.refCnt();
  }

  @Override
  public PeerFrame retain() {
    payload.retain();
    return this;
  }

  @Override
  public PeerFrame retain(int increment) {
    payload.retain(increment);
    return this;
  }

  @Override
  public PeerFrame touch() {
    payload.touch();
    return this;
  }

  @Override
  public PeerFrame touch(Object hint) {
    payload.touch(hint);
    return this;
  }

  @Override
  public boolean release() {
    return payload.release();
  }

  @Override
  public boolean release(int decrement) {
    return payload.release(decrement);
  }
}
