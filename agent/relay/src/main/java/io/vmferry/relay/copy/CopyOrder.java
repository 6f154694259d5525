// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.copy;

import io.vmferry.relay.map.BlockGrid;
import io.vmferry.relay.map.HeatRanks;
import java.util.ArrayDeque;
import java.util.Deque;

/**
 * What the background copy brings next: blocks near recent misses, then what the guest used last
 * before it moved, then the rest by place.
 *
 * <p>It only points; what is still to be copied is asked anew each time. So no block is named that
 * is here or on its way, and one whose request failed is named again. Loop only.
 */
public final class CopyOrder {
  /** Who misses a block soon misses those around it: 256 KiB, one request. */
  static final long NEAR = (256 << 10) / BlockGrid.BLOCK;

  /** Misses remembered: what the guest used longer ago is told better by the heat. */
  static final int MAX_MISSES = 32;

  /** Tells what is still to be copied. */
  public interface Wanted {
    /** First block at or after {@code from} that is to be copied, or the number of blocks. */
    long next(long from);
  }

  /** A run of blocks that begins with a wanted one; copy from the beginning as much as fits. */
  public record Piece(long from, long to) {}

  private final long blocks;

  /** Places of misses, the last first. */
  private final Deque<Piece> near = new ArrayDeque<>();

  /** Runs of regions by heat; the first ones are done. */
  private Piece[] hot = {};

  private int hotDone;

  /** Where the pass over everything goes on. */
  private long cursor;

  /** The order for a volume of that many blocks of which nothing is known. */
  public CopyOrder(long blocks) {
    this.blocks = blocks;
  }

  /** A guest waits for these blocks. */
  public void missed(long from, long to) {
    Piece place = new Piece(from - from % NEAR, Math.min(blocks, (to + NEAR - 1) / NEAR * NEAR));
    near.remove(place);
    near.addFirst(place);
    if (near.size() > MAX_MISSES) {
      near.removeLast();
    }
  }

  /** The order of last use is known now, for a volume of this order's size. */
  public void heat(HeatRanks heat) {
    hot = runs(heat, blocks);
    hotDone = 0;
  }

  /** The next piece, or null if nothing is wanted. */
  public Piece next(Wanted wanted) {
    while (!near.isEmpty()) {
      Piece rest = rest(near.getFirst(), wanted);
      if (rest != null) {
        return rest;
      }
      near.removeFirst();
    }
    for (; hotDone < hot.length; hotDone++) {
      Piece rest = rest(hot[hotDone], wanted);
      if (rest != null) {
        hot[hotDone] = rest;
        return rest;
      }
    }
    long from = wanted.next(cursor);
    if (from == blocks && cursor > 0) {
      from = wanted.next(0);
    }
    cursor = from;
    return from == blocks ? null : new Piece(from, blocks);
  }

  private static Piece rest(Piece piece, Wanted wanted) {
    long from = wanted.next(piece.from());
    return from < piece.to() ? new Piece(from, piece.to()) : null;
  }

  /** Neighbours of one rank as one run, by rank and then by place; without what was never used. */
  private static Piece[] runs(HeatRanks heat, long blocks) {
    byte[] ranks = heat.ranks();
    int[] next = new int[HeatRanks.OLDEST + 2];
    for (int region = 0; region < ranks.length; region++) {
      if (begins(ranks, region)) {
        next[ranks[region] + 1]++;
      }
    }
    for (int rank = 1; rank < next.length; rank++) {
      next[rank] += next[rank - 1];
    }
    Piece[] runs = new Piece[next[next.length - 1]];
    long regionBlocks = (1L << heat.regionShift()) / BlockGrid.BLOCK;
    for (int region = 0; region < ranks.length; region++) {
      if (begins(ranks, region)) {
        int end = region + 1;
        while (end < ranks.length && ranks[end] == ranks[region]) {
          end++;
        }
        runs[next[ranks[region]]++] =
            new Piece(region * regionBlocks, Math.min(blocks, end * regionBlocks));
      }
    }
    return runs;
  }

  private static boolean begins(byte[] ranks, int region) {
    return ranks[region] != HeatRanks.NEVER && (region == 0 || ranks[region - 1] != ranks[region]);
  }
}
