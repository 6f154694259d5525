// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.volume;

import io.vmferry.relay.map.BlockMap;

/**
 * The blocks that are worth asking another node for: not held, not here and on their way to the
 * disk, and not left out for another reason, most of all that they were asked for already. Loop
 * only.
 */
final class MissingBlocks {
  private final long blocks;
  private final HeldBlocks held;
  private final InFlight inFlight;
  private final BlockMap[] leftOut;

  /**
   * Of one replica.
   *
   * @param leftOut maps that the caller goes on changing; what is set in any of them is left out
   */
  MissingBlocks(LocalReplica replica, BlockMap... leftOut) {
    this.blocks = replica.grid().blocks();
    this.held = replica.held();
    this.inFlight = replica.inFlight();
    this.leftOut = leftOut;
  }

  /** The first one at or after {@code from}, or the number of blocks. */
  long next(long from) {
    long block = held.nextMissing(from);
    while (block < blocks) {
      long next = block;
      for (BlockMap each : leftOut) {
        next = each.nextClear(next);
      }
      next = inFlight.storingUntil(next);
      if (next == block) {
        return block;
      }
      block = held.nextMissing(next);
    }
    return blocks;
  }

  /** The end, at most {@code to}, of the run that begins with {@code from}, which is missing. */
  long end(long from, long to) {
    long end = Math.min(to, held.nextHeld(from));
    for (BlockMap each : leftOut) {
      end = Math.min(end, each.nextSet(from));
    }
    return inFlight.nextStoring(from, end);
  }
}
