// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.handover;

import io.netty.buffer.ByteBuf;
import io.vmferry.relay.copy.Compression;
import io.vmferry.relay.map.BlockGrid;
import io.vmferry.relay.peer.Crc32c;
import io.vmferry.relay.peer.PeerService.Responder;
import io.vmferry.relay.peer.wire.Extent;
import io.vmferry.relay.peer.wire.Frame;
import java.nio.ByteBuffer;

/**
 * Answers a read with extents: runs of blocks that are zero travel without payload, whether they
 * are holes in the file or not. Data travels compressed where that is wanted and worth it.
 */
final class ExtentSender {
  /**
   * Bytes per compressed piece: small enough to be unpacked between two guest requests, large
   * enough to compress well.
   */
  private static final int PACKED_PIECE = 64 << 10;

  private static final ByteBuffer ZEROES = ByteBuffer.allocateDirect(BlockGrid.BLOCK);

  private final long offset;
  private final ByteBuf data;
  private final ByteBuffer bytes;
  private final Responder responder;
  private final Compression compression;

  /**
   * For one read.
   *
   * @param offset of the data's first byte in the volume
   * @param data released after {@link #send}
   * @param compression null to send all as it is; otherwise {@link #send} runs on its thread
   */
  ExtentSender(long offset, ByteBuf data, Responder responder, Compression compression) {
    this.compression = compression;
    this.offset = offset;
    this.data = data;
    this.bytes = data.nioBuffer();
    this.responder = responder;
  }

  void send() {
    int length = data.readableBytes();
    for (int from = 0; from < length; ) {
      boolean zero = isZero(from, blockEnd(from));
      int to = blockEnd(from);
      int most = zero || compression == null ? length : Math.min(length, from + PACKED_PIECE);
      while (to < most && isZero(to, blockEnd(to)) == zero) {
        to = blockEnd(to);
      }
      extent(from, to, zero);
      from = to;
    }
    data.release();
  }

  /** End of the block that holds position {@code at}: pieces end at the volume's blocks. */
  private int blockEnd(int at) {
    long next = (BlockGrid.blockAt(offset + at) + 1) * BlockGrid.BLOCK - offset;
    return (int) Math.min(next, data.readableBytes());
  }

  /** Compares eight bytes and more at a time, which a look at each of them doesn't. */
  private boolean isZero(int from, int to) {
    int length = to - from;
    return bytes.slice(from, length).mismatch(ZEROES.slice(0, length)) < 0;
  }

  private void extent(int from, int to, boolean zero) {
    Extent.Builder extent =
        Extent.newBuilder().setOffset(offset + from).setLength(to - from).setZero(zero);
    ByteBuf payload = null;
    if (!zero) {
      payload = data.retainedSlice(data.readerIndex() + from, to - from);
      extent.setCrc32C(Crc32c.of(payload));
      ByteBuf packed = compression == null ? null : compression.pack(payload);
      if (packed != null) {
        payload.release();
        payload = packed;
        extent.setZstd(true);
      }
    }
    responder.answer(Frame.newBuilder().setExtent(extent), payload, to == data.readableBytes());
  }
}
