// SPDX-License-Identifier: Apache-2.0
package io.vmferry.nbd;

import static io.vmferry.nbd.NbdProtocol.EXTENT_BYTES;
import static io.vmferry.nbd.NbdProtocol.STATE_HOLE;
import static io.vmferry.nbd.NbdProtocol.STATE_ZERO;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.ByteBufAllocator;

/**
 * The extents of one BLOCK_STATUS reply as they go to the client: neighbours of the same state
 * joined, cut at the end of the request, so that every length fits 32 bits.
 */
final class ExtentList {
  private static final int INITIAL_EXTENTS = 16;

  private final int maxExtents;
  private long uncovered;
  private boolean full;
  private ByteBuf encoded;
  private int count;
  private long lastLength;
  private int lastState;

  /**
   * @param requestLength bytes, 1 to 2^32-1
   * @param maxExtents at least 1
   */
  ExtentList(ByteBufAllocator allocator, long requestLength, int maxExtents) {
    this.maxExtents = maxExtents;
    uncovered = requestLength;
    encoded =
        allocator.directBuffer(
            Math.min(INITIAL_EXTENTS, maxExtents) * EXTENT_BYTES, maxExtents * EXTENT_BYTES);
  }

  /** As {@link NbdSession.StatusReply#extent}. */
  boolean add(long length, boolean hole, boolean zero) {
    if (length <= 0) {
      throw new IllegalArgumentException("an extent of %d bytes".formatted(length));
    }
    if (full) {
      return false;
    }
    int state = (hole ? STATE_HOLE : 0) | (zero ? STATE_ZERO : 0);
    boolean joins = count > 0 && state == lastState;
    if (!joins && count == maxExtents) {
      full = true;
      return false;
    }
    long taken = Math.min(length, uncovered);
    if (joins) {
      lastLength += taken;
      encoded.setInt(encoded.writerIndex() - EXTENT_BYTES, (int) lastLength);
    } else {
      lastLength = taken;
      lastState = state;
      count++;
      encoded.writeInt((int) lastLength).writeInt(lastState);
    }
    uncovered -= taken;
    full = uncovered == 0;
    return !full;
  }

  boolean isEmpty() {
    return count == 0;
  }

  /** The extents, encoded; the caller owns them. */
  ByteBuf take() {
    ByteBuf taken = encoded;
    encoded = null;
    return taken;
  }
}
