// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.volume;

import io.netty.buffer.ByteBuf;
import io.vmferry.relay.copy.BlockSource;
import io.vmferry.relay.copy.BulkLane;
import io.vmferry.relay.copy.Compression;
import io.vmferry.relay.copy.Origin;
import io.vmferry.relay.map.BlockGrid;
import io.vmferry.relay.map.BlockMap;
import io.vmferry.relay.peer.wire.Role;

/**
 * One read of a run of missing blocks at another node: noted as asked for until it ends, and
 * counted for its place in the lane. Loop only.
 */
abstract class BlockRead implements Origin.Sink {
  private final BlockMap asked;
  private final long from;
  private final long to;
  private final BulkLane.Slot slot;
  private long answered;
  private long received;

  /**
   * For one read.
   *
   * @param asked where the blocks are noted while the read is under way
   * @param slot its place in the lane; null if it doesn't need one
   */
  BlockRead(BlockMap asked, long from, long to, BulkLane.Slot slot) {
    this.asked = asked;
    this.from = from;
    this.to = to;
    this.slot = slot;
  }

  /** Asks; compressed if it pays on this lane. */
  final void ask(BlockSource source, Role role, BlockGrid grid, BulkLane lane) {
    asked.set(from, to);
    int length = (int) grid.bytes(from, to);
    boolean compressed = length >= Compression.MIN_BYTES && lane.wantsCompression();
    source.read(role, grid.offsetOf(from), length, compressed, this);
  }

  /**
   * A checked piece is here.
   *
   * @param payload null for zeroes; only used during the call
   */
  abstract void arrived(long offset, long length, ByteBuf payload);

  /** It is over; its place in the lane is still taken, and nobody has been woken for it. */
  void ending(Exception error) {}

  /** It is over; its place in the lane has been given to who waited for it. */
  abstract void ended(Exception error);

  @Override
  public void data(long offset, ByteBuf payload, int onWire) {
    answered += payload.readableBytes();
    received += onWire;
    arrived(offset, payload.readableBytes(), payload);
  }

  @Override
  public final void zeroes(long offset, int length) {
    answered += length;
    arrived(offset, length, null);
  }

  @Override
  public final void end(Exception error) {
    asked.clear(from, to);
    ending(error);
    if (slot != null) {
      slot.end(answered, received);
    }
    ended(error);
  }
}
