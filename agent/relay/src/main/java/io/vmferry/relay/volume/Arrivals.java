// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.volume;

import io.netty.buffer.ByteBuf;
import io.vmferry.relay.map.BlockGrid;
import io.vmferry.relay.store.BlockFile;
import java.io.IOException;

/**
 * Stores what comes from another node: those of its whole blocks that are still missing, and of
 * which none is being written or stored. The rest is dropped: what is in its way is newer. Loop
 * only.
 */
final class Arrivals {
  private final BlockGrid grid;
  private final BlockFile file;
  private final HeldBlocks held;
  private final InFlight inFlight;

  /** The end of one store. */
  interface Stored {
    /**
     * These blocks are in the file, or it failed. Notes them as held and then ends the ticket.
     *
     * @param zero whether they have no data
     */
    void stored(long from, long to, boolean zero, InFlight.Ticket ticket, IOException error);
  }

  Arrivals(LocalReplica replica) {
    this.grid = replica.grid();
    this.file = replica.file();
    this.held = replica.held();
    this.inFlight = replica.inFlight();
  }

  /**
   * Begins to store a piece that was checked.
   *
   * @param payload null for zeroes; only used during the call
   * @param stored told of each run of blocks; not at all if nothing of the piece is wanted
   */
  void store(long offset, long length, ByteBuf payload, Stored stored) {
    long to = grid.endCovered(offset + length);
    for (long block = held.nextMissing(grid.firstCovered(offset)); block < to; ) {
      long free = inFlight.busyUntil(block);
      if (free > block) {
        block = held.nextMissing(free);
        continue;
      }
      long end = inFlight.nextBusy(block, Math.min(to, held.nextHeld(block)));
      store(block, end, offset, payload, stored);
      block = held.nextMissing(end);
    }
  }

  private void store(long from, long to, long pieceOffset, ByteBuf piece, Stored stored) {
    long offset = grid.offsetOf(from);
    long bytes = grid.bytes(from, to);
    InFlight.Ticket ticket = inFlight.beginStore(from, to);
    if (piece == null) {
      file.zero(offset, bytes, true, error -> stored.stored(from, to, true, ticket, error));
    } else {
      // The buffer is only ours during this call, the write may take longer.
      int index = piece.readerIndex() + (int) (offset - pieceOffset);
      ByteBuf data = piece.retainedSlice(index, (int) bytes);
      file.write(
          offset,
          data,
          error -> {
            data.release();
            stored.stored(from, to, false, ticket, error);
          });
    }
  }
}
