// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.volume;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.List;
import java.util.Queue;

/**
 * The operations of one volume that are under way, and the order between them that no file system
 * gives: a fetched block is stored only where no guest write is in flight, and a guest write waits
 * for a store to the same block. Loop only.
 *
 * <p>Lists are short (16 requests per guest, a few stores), so they are searched linearly.
 */
final class InFlight {

  /**
   * One operation on the blocks {@code [from, to)}. Whoever makes many one after another may use
   * one ticket for all of them.
   */
  static final class Ticket {
    private long from;
    private long to;

    /** First block. */
    long from() {
      return from;
    }

    /** Block after the last. */
    long to() {
      return to;
    }

    private Ticket over(long first, long end) {
      from = first;
      to = end;
      return this;
    }

    private boolean overlaps(long otherFrom, long otherTo) {
      return from < otherTo && otherFrom < to;
    }
  }

  private final List<Ticket> writes = new ArrayList<>();
  private final List<Ticket> stores = new ArrayList<>();
  private final Queue<Runnable> afterStores = new ArrayDeque<>();
  private final Queue<Runnable> whenIdle = new ArrayDeque<>();
  private int others;

  /** An operation begins that touches no map: a read, a flush, anything on a complete volume. */
  void begin() {
    others++;
  }

  void end() {
    others--;
    checkIdle();
  }

  /** A write begins, with a ticket that is of no other operation now. */
  void beginWrite(Ticket ticket, long from, long to) {
    writes.add(ticket.over(from, to));
  }

  void endWrite(Ticket ticket) {
    writes.remove(ticket);
    checkIdle();
  }

  Ticket beginStore(long from, long to) {
    Ticket ticket = new Ticket().over(from, to);
    stores.add(ticket);
    return ticket;
  }

  void endStore(Ticket ticket) {
    stores.remove(ticket);
    // Each looks again for itself whether another store is in its way.
    for (int n = afterStores.size(); n > 0; n--) {
      afterStores.remove().run();
    }
    checkIdle();
  }

  boolean storing(long from, long to) {
    return overlapping(stores, from, to);
  }

  /**
   * End of the busy part when {@code block} is being written or stored, otherwise {@code block}.
   */
  long busyUntil(long block) {
    for (Ticket ticket : writes) {
      if (ticket.overlaps(block, block + 1)) {
        return ticket.to;
      }
    }
    return storingUntil(block);
  }

  /** First busy block in {@code [from, to)}, or {@code to}. */
  long nextBusy(long from, long to) {
    return Math.min(nextBusy(writes, from, to), nextBusy(stores, from, to));
  }

  /** End of the part that is being stored when {@code block} is, otherwise {@code block}. */
  long storingUntil(long block) {
    for (Ticket ticket : stores) {
      if (ticket.overlaps(block, block + 1)) {
        return ticket.to;
      }
    }
    return block;
  }

  /** First block in {@code [from, to)} that is being stored, or {@code to}. */
  long nextStoring(long from, long to) {
    return nextBusy(stores, from, to);
  }

  /** Runs {@code retry} after the next store ended. */
  void afterStores(Runnable retry) {
    afterStores.add(retry);
  }

  /** Runs {@code then} once nothing is in flight; at once if so already. */
  void whenIdle(Runnable then) {
    whenIdle.add(then);
    checkIdle();
  }

  private void checkIdle() {
    while (others == 0 && writes.isEmpty() && stores.isEmpty() && !whenIdle.isEmpty()) {
      whenIdle.remove().run();
    }
  }

  private static boolean overlapping(List<Ticket> tickets, long from, long to) {
    for (Ticket ticket : tickets) {
      if (ticket.overlaps(from, to)) {
        return true;
      }
    }
    return false;
  }

  private static long nextBusy(List<Ticket> tickets, long from, long to) {
    long next = to;
    for (Ticket ticket : tickets) {
      if (ticket.overlaps(from, next)) {
        next = Math.max(from, ticket.from);
      }
    }
    return next;
  }
}
