// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.volume;

import io.vmferry.relay.map.BlockGrid;
import io.vmferry.relay.map.BlockMap;
import io.vmferry.relay.map.HeapBlockMap;
import io.vmferry.relay.map.Runs;

/**
 * The blocks this replica holds, up to date. A complete replica needs no map at all.
 *
 * <p>A block enters only after its data was written. The live map survives this process; what isn't
 * durable yet is remembered as pending, so that a flush writes no more than what is new. Loop only.
 */
final class HeldBlocks {
  private final BlockGrid grid;
  private BlockMap live;
  private BlockMap pending;

  private HeldBlocks(BlockGrid grid, BlockMap live, BlockMap pending) {
    this.grid = grid;
    this.live = live;
    this.pending = pending;
  }

  static HeldBlocks all(BlockGrid grid) {
    return new HeldBlocks(grid, null, null);
  }

  static HeldBlocks none(BlockGrid grid) {
    return new HeldBlocks(
        grid, HeapBlockMap.allClear(grid.blocks()), HeapBlockMap.allClear(grid.blocks()));
  }

  /**
   * A partly filled replica.
   *
   * @param live map that survives this process; owned from now on
   * @param durable what the journal has
   */
  static HeldBlocks tracked(BlockGrid grid, BlockMap live, BlockMap durable) {
    BlockMap pending = HeapBlockMap.allClear(grid.blocks());
    for (long from = live.nextSet(0); from < live.blocks(); ) {
      long to = live.nextClear(from);
      for (long gap = durable.nextClear(from); gap < to; ) {
        long gapEnd = Math.min(durable.nextSet(gap), to);
        pending.set(gap, gapEnd);
        gap = durable.nextClear(gapEnd);
      }
      from = live.nextSet(to);
    }
    return new HeldBlocks(grid, live, pending);
  }

  /** Whether no map is kept: everything is held, durably. */
  boolean isComplete() {
    return live == null;
  }

  /** Whether the last block is here, maybe not durably yet. */
  boolean isFull() {
    return live == null || live.cardinality() == live.blocks();
  }

  boolean has(long from, long to) {
    return live == null || live.allSet(from, to);
  }

  /** First missing block at or after {@code from}, or the number of blocks. */
  long nextMissing(long from) {
    return live == null ? grid.blocks() : live.nextClear(from);
  }

  /** First held block at or after {@code from}, or the number of blocks. */
  long nextHeld(long from) {
    return live == null ? from : live.nextSet(from);
  }

  /** The data of these blocks is in the file. Returns how many of them are new. */
  long hold(long from, long to) {
    if (live == null) {
      return 0;
    }
    long added = live.set(from, to);
    if (added > 0) {
      pending.set(from, to);
    }
    return added;
  }

  /** What is in the file of these blocks is not good any more; only while no journal has them. */
  void forget(long from, long to) {
    live.clear(from, to);
    pending.clear(from, to);
  }

  /** Whether some became held that nobody took to make them durable. */
  boolean hasPending() {
    return live != null && pending.cardinality() > 0;
  }

  /** What became held since the last call; the caller makes it durable. */
  BlockMap takePending() {
    if (!hasPending()) {
      return null;
    }
    BlockMap taken = pending;
    pending = HeapBlockMap.allClear(grid.blocks());
    return taken;
  }

  /** These could not be made durable: they are pending again. */
  void giveBack(BlockMap taken) {
    if (live != null) {
      Runs.forEach(
          taken,
          0,
          taken.blocks(),
          true,
          (from, to) -> {
            pending.set(from, to);
            return true;
          });
    }
  }

  /** A copy for a takeover. */
  BlockMap snapshot() {
    return live == null ? HeapBlockMap.allSet(grid.blocks()) : HeapBlockMap.copyOf(live);
  }

  /** Bytes held. */
  long bytes() {
    if (live == null || live.cardinality() == live.blocks()) {
      return grid.size();
    }
    long bytes = live.cardinality() * BlockGrid.BLOCK;
    long last = grid.blocks() - 1;
    return live.get(last) ? bytes - BlockGrid.BLOCK + grid.bytes(last, last + 1) : bytes;
  }

  /** Everything is held, durably: the maps are not needed any more. */
  void becomeComplete() {
    close();
    live = null;
    pending = null;
  }

  /** Ends the use of the live map. */
  void close() {
    if (live != null) {
      live.close();
    }
  }
}
