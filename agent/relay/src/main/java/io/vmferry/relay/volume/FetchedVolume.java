// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.volume;

import io.netty.buffer.ByteBuf;
import io.vmferry.relay.copy.BlockSource;
import io.vmferry.relay.copy.BulkLane;
import io.vmferry.relay.copy.CopyOrder;
import io.vmferry.relay.copy.Origin;
import io.vmferry.relay.copy.ReadAhead;
import io.vmferry.relay.exec.Loop;
import io.vmferry.relay.map.BlockGrid;
import io.vmferry.relay.map.BlockMap;
import io.vmferry.relay.map.HeapBlockMap;
import io.vmferry.relay.peer.LinkDownException;
import io.vmferry.relay.peer.wire.Role;
import java.io.IOException;
import java.time.Duration;
import java.util.List;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Brings an incomplete replica's missing blocks here: at once those that somebody waits for, in the
 * background all others, and never over a newer guest write.
 *
 * <p>What arrives is stored only where the block is still missing and no guest write or other store
 * is in flight; the rest is dropped. A block counts as held when its store is complete. Loss of the
 * link is no error: who waits goes on waiting, and all is asked again when the link is back. Loop
 * only.
 */
final class FetchedVolume {
  private static final Logger log = LoggerFactory.getLogger(FetchedVolume.class);

  /** Between two attempts after the origin refused, answered nonsense, or the disk was full. */
  private static final Duration RETRY = Duration.ofSeconds(1);

  /** Blocks per request of a read-ahead: the first ones are here before the last ones are sent. */
  private static final long AHEAD_READ = (64 << 10) / BlockGrid.BLOCK;

  /** Who needs missing blocks. One of both is run, once. */
  interface Waiting {
    /** All of them are held, or the volume changed state: look again. */
    void again();

    /** One of them was fetched and found no space. */
    void full(IOException error);
  }

  private final LocalReplica replica;
  private final BlockGrid grid;
  private final HeldBlocks held;
  private final InFlight inFlight;
  private final BlockSource origin;
  private final BulkLane lane;
  private final FetchCounters counters;
  private final Loop loop;
  private final Runnable newlyHeld;

  private final Waiters waiters;

  /** Blocks that were asked for and have not all arrived, per lane. */
  private final BlockMap onDemand;

  private final BlockMap inBackground;

  private final MissingBlocks toDemand;
  private final MissingBlocks toFetchAhead;
  private final MissingBlocks toCopy;

  private final Arrivals arrivals;
  private final CopyOrder order;
  private final ReadAhead readAhead;
  private final ReadThrough through;
  private final HoleSearch holes;
  private boolean heatAsked;

  /** A store found no space, and none has found some since. */
  private boolean diskFull;

  /** Until then no guest's read tries whether there is space again: {@link Loop#nanoTime}. */
  private long fullUntil;

  private boolean stopped;
  private boolean retrying;
  private boolean waitsForLane;
  private String trouble;

  /**
   * For one replica while it lacks blocks.
   *
   * @param newlyHeld runs whenever blocks became held that came from the origin
   */
  FetchedVolume(
      LocalReplica replica,
      BlockSource origin,
      BulkLane lane,
      FetchCounters counters,
      Loop loop,
      Runnable newlyHeld) {
    this.replica = replica;
    this.grid = replica.grid();
    this.held = replica.held();
    this.inFlight = replica.inFlight();
    this.origin = origin;
    this.lane = lane;
    this.counters = counters;
    this.loop = loop;
    this.newlyHeld = newlyHeld;
    this.waiters = new Waiters(held);
    this.arrivals = new Arrivals(replica);
    this.order = new CopyOrder(grid.blocks());
    this.readAhead = new ReadAhead(grid.blocks());
    this.through = new ReadThrough(replica, origin, counters, this::ended);
    this.onDemand = HeapBlockMap.allClear(grid.blocks());
    this.inBackground = HeapBlockMap.allClear(grid.blocks());
    this.toDemand = new MissingBlocks(replica, onDemand);
    this.toFetchAhead = new MissingBlocks(replica, onDemand, inBackground);
    this.toCopy = new MissingBlocks(replica, inBackground);
    this.holes = new HoleSearch(grid.size(), new HolesFound());
  }

  /** Starts, and goes on after the link was lost and is back. */
  void linkUp() {
    goOn();
  }

  /** Nothing is asked for or stored any more. Returns who still waits, to be run again later. */
  List<Runnable> stop() {
    stopped = true;
    List<Runnable> waiting = through.stop();
    waiting.addAll(waiters.takeAll());
    return waiting;
  }

  /** Fetches and stores what is missing of {@code [from, to)}; at once {@code again} if nothing. */
  void require(long from, long to, Waiting waiting) {
    if (held.has(from, to)) {
      waiting.again();
      return;
    }
    lane.miss();
    order.missed(from, to);
    waiters.add(from, to, waiting);
    demand(from, to);
  }

  /**
   * Answers a read whose blocks are not all held. They are stored if there is space; if not, the
   * answer comes all the same.
   */
  void read(ReadThrough.Request request) {
    if (diskFull && fullUntil - loop.nanoTime() > 0) {
      lane.miss();
      through.read(request);
      return;
    }
    long from = BlockGrid.blockAt(request.offset());
    long to = BlockGrid.blockAfter(request.offset() + request.length());
    require(
        from,
        to,
        new Waiting() {
          @Override
          public void again() {
            request.again();
          }

          @Override
          public void full(IOException error) {
            through.read(request);
          }
        });
  }

  /**
   * A guest reads {@code [from, to)}, missing or not: what it will read next is fetched already.
   */
  void reading(long from, long to) {
    ReadAhead.Portion ahead = readAhead.read(from, to, BlockGrid.blockAfter(lane.readAheadBytes()));
    if (ahead != null && !stopped && !diskFull && origin.up()) {
      fetchAhead(ahead.from(), ahead.to());
    }
  }

  /** Blocks became held by a guest's write: who waited for them may go on. */
  void heldByGuest() {
    waiters.wake();
  }

  /** How many requests wait for missing blocks. */
  int waiting() {
    return waiters.count() + through.waiting();
  }

  /** What keeps missing blocks from coming, for people; null if nothing does. */
  String waitingFor() {
    String lost = origin.waitingFor();
    return lost == null ? trouble : lost;
  }

  /** Where missing blocks come from, for people. */
  String source() {
    return origin.name();
  }

  private void goOn() {
    if (stopped) {
      return;
    }
    holes.goOn(origin);
    askForHeat();
    waiters.forEach(this::demand);
    through.retry();
    background();
  }

  // ---- on demand

  private void demand(long from, long to) {
    for (long block = toDemand.next(from); block < to; ) {
      long end = toDemand.end(block, Math.min(to, block + Origin.MAX_READ / BlockGrid.BLOCK));
      new Fetch(Role.DEMAND, onDemand, block, end, null).ask();
      block = toDemand.next(end);
    }
  }

  /** As {@link #demand}, but what comes in the background anyway is not asked for again. */
  private void fetchAhead(long from, long to) {
    for (long block = toFetchAhead.next(from); block < to; ) {
      long end = toFetchAhead.end(block, Math.min(to, block + AHEAD_READ));
      new Fetch(Role.DEMAND, onDemand, block, end, null).ask();
      block = toFetchAhead.next(end);
    }
  }

  // ---- in the background

  private final class HolesFound implements HoleSearch.Host {
    @Override
    public void hole(long offset, long length) {
      arrived(Role.BULK, offset, length, null);
    }

    @Override
    public void answered(Exception error) {
      if (error != null) {
        ended(error);
      } else if (!stopped) {
        holes.goOn(origin);
      }
    }
  }

  /** Only the order depends on it: the copy doesn't wait, and does without if it is refused. */
  private void askForHeat() {
    if (heatAsked) {
      return;
    }
    heatAsked = true;
    origin.heat(
        grid.size(),
        (heat, error) -> {
          if (heat != null) {
            order.heat(heat);
          } else if (error instanceof LinkDownException) {
            heatAsked = false;
          } else {
            log.info("the copy goes without heat order: {}", error.getMessage());
          }
        });
  }

  private void background() {
    while (!stopped && origin.up() && !waitsForLane && !retrying) {
      if (diskFull && inBackground.cardinality() > 0) {
        // One request is enough to find out whether there is space again.
        return;
      }
      CopyOrder.Piece next = order.next(toCopy::next);
      if (next == null) {
        return;
      }
      long from = next.from();
      long most = from + lane.requestBytes() / BlockGrid.BLOCK;
      long to = toCopy.end(from, Math.min(next.to(), most));
      BulkLane.Slot slot = lane.reserve(grid.bytes(from, to), this::laneIsFree);
      if (slot == null) {
        waitsForLane = true;
        return;
      }
      new Fetch(Role.BULK, inBackground, from, to, slot).ask();
    }
  }

  private void laneIsFree() {
    waitsForLane = false;
    background();
  }

  // ---- both

  private final class Fetch extends BlockRead {
    private final Role role;

    Fetch(Role role, BlockMap asked, long from, long to, BulkLane.Slot slot) {
      super(asked, from, to, slot);
      this.role = role;
    }

    void ask() {
      ask(origin, role, grid, lane);
    }

    @Override
    public void data(long offset, ByteBuf payload, int onWire) {
      counters.wire(onWire);
      super.data(offset, payload, onWire);
    }

    @Override
    void arrived(long offset, long length, ByteBuf payload) {
      FetchedVolume.this.arrived(role, offset, length, payload);
    }

    @Override
    void ended(Exception error) {
      FetchedVolume.this.ended(error);
    }
  }

  private void ended(Exception error) {
    if (stopped) {
      return;
    }
    if (error != null && !origin.up()) {
      // We are woken when the link is back; everything else is asked again after a while.
      return;
    }
    if (!diskFull) {
      trouble = error == null ? null : error.getMessage();
    }
    if (error == null) {
      goOn();
    } else {
      retryLater();
    }
  }

  private void retryLater() {
    if (!retrying) {
      retrying = true;
      loop.after(
          RETRY,
          () -> {
            retrying = false;
            goOn();
          });
    }
  }

  /** A checked piece is here: store those of its blocks that are still wanted. */
  private void arrived(Role role, long offset, long length, ByteBuf payload) {
    if (stopped) {
      return;
    }
    arrivals.store(
        offset,
        length,
        payload,
        (from, to, zero, ticket, error) -> stored(role, from, to, zero, ticket, error));
  }

  private void stored(
      Role role, long from, long to, boolean zero, InFlight.Ticket ticket, IOException error) {
    if (error == null) {
      held.hold(from, to);
      long bytes = grid.bytes(from, to);
      if (zero) {
        counters.holes(bytes);
      } else if (role == Role.DEMAND) {
        counters.demand(bytes);
      } else {
        counters.background(bytes);
      }
    }
    inFlight.endStore(ticket);
    if (error == null) {
      if (diskFull && !zero) {
        // A hole takes no space, so it says nothing.
        diskFull = false;
        trouble = null;
      }
      waiters.wake();
      newlyHeld.run();
    } else if (DiskTrouble.of(error) == DiskTrouble.FULL) {
      noSpace(from, to, error);
    } else {
      replica.broken(error);
    }
  }

  /** Who waits for these blocks need not wait for space. */
  private void noSpace(long from, long to, IOException error) {
    diskFull = true;
    fullUntil = loop.nanoTime() + RETRY.toNanos();
    trouble = "space for volume data: " + error.getMessage() + "; free some, it goes on by itself";
    waiters.noSpace(from, to, error);
    retryLater();
  }
}
