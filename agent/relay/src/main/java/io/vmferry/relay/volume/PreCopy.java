// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.volume;

import io.netty.buffer.ByteBuf;
import io.vmferry.api.Epoch;
import io.vmferry.config.PreCopyMode;
import io.vmferry.relay.copy.BulkLane;
import io.vmferry.relay.copy.CopyOrder;
import io.vmferry.relay.copy.Origin;
import io.vmferry.relay.copy.OriginException;
import io.vmferry.relay.exec.Loop;
import io.vmferry.relay.map.BlockGrid;
import io.vmferry.relay.map.BlockMap;
import io.vmferry.relay.map.HeapBlockMap;
import io.vmferry.relay.map.Runs;
import io.vmferry.relay.peer.wire.Refused;
import io.vmferry.relay.peer.wire.Role;
import java.io.IOException;
import java.time.Duration;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Brings the owner's blocks to a standby before the handover, while the guest still writes there.
 *
 * <p>Nothing is served from what comes: it counts at the takeover, and of it only what the owner
 * says is not stale. Both sides keep what they know in memory only: a relay that is restarted
 * begins anew. What must hold, with the owner's side in {@link Replicas}:
 *
 * <ul>
 *   <li>Nothing is asked for of which something is held: an answer that is lost after the owner
 *       cleared its bits would else leave an old content that looks good.
 *   <li>A request that failed ends the session. The next one begins when no request and no store of
 *       this one is left, and with what is stale given up.
 * </ul>
 *
 * Loop only.
 */
final class PreCopy {
  private static final Logger log = LoggerFactory.getLogger(PreCopy.class);

  /** After a request was lost, and between two looks whether the last session has come to rest. */
  private static final Duration RETRY = Duration.ofSeconds(1);

  /** After the owner refused or answered nonsense: mostly, it isn't the owner any more. */
  private static final Duration REFUSED = Duration.ofSeconds(5);

  /** Between two passes: what the guest writes all the time is sent once for so long. */
  static final Duration PAUSE = Duration.ofSeconds(2);

  /** A guest that writes faster than the link would be copied for ever. */
  static final int PASSES = 5;

  private final LocalReplica replica;
  private final VolumeRecord record;
  private final BlockGrid grid;
  private final HeldBlocks held;
  private final InFlight inFlight;
  private final Arrivals arrivals;
  private final Origin owner;
  private final BulkLane lane;
  private final PreCopyMode mode;
  private final Loop loop;

  /** Asked for and not all here. */
  private final BlockMap asked;

  /** Written by the guest after they were sent: left to the time after the handover. */
  private final BlockMap written;

  private final MissingBlocks toCopy;
  private final CopyOrder order;
  private final HoleSearch holes;
  private Origin inSession;
  private long session;
  private int passes;
  private int outstanding;
  private boolean heatAsked;
  private boolean beginning;
  private boolean copying;
  private boolean waitsForLane;
  private boolean retrying;
  private boolean ended;
  private boolean givenUp;
  private boolean stopped;

  /**
   * For one standby that has no copy of its own, of the owner that its record names.
   *
   * @param owner reads the volume there
   * @param mode not {@link PreCopyMode#NONE}
   */
  PreCopy(LocalReplica replica, Origin owner, BulkLane lane, PreCopyMode mode, Loop loop) {
    this.replica = replica;
    this.record = replica.record();
    this.grid = replica.grid();
    this.held = replica.held();
    this.inFlight = replica.inFlight();
    this.arrivals = new Arrivals(replica);
    this.owner = owner;
    this.lane = lane;
    this.mode = mode;
    this.loop = loop;
    this.order = new CopyOrder(grid.blocks());
    this.asked = HeapBlockMap.allClear(grid.blocks());
    this.written = HeapBlockMap.allClear(grid.blocks());
    this.toCopy = new MissingBlocks(replica, asked, written);
    this.holes = new HoleSearch(grid.size(), new HolesFound());
  }

  /** The session that the owner knows; 0 for none. */
  long session() {
    return session;
  }

  /** Whose blocks, in which epoch. */
  Epoch epoch() {
    return record.epoch();
  }

  /**
   * Starts, and goes on after the link was lost and is back; also when all had come: if the owner
   * was restarted, nothing of it is good any more.
   */
  void linkUp() {
    ended = false;
    begin();
  }

  /** Nothing is asked for or noted as held any more; stores that are under way come to nothing. */
  void stop() {
    stopped = true;
  }

  // ---- a session

  private void begin() {
    if (stopped || givenUp || ended || beginning || copying || !owner.up()) {
      return;
    }
    if (!quiet()) {
      beginLater(RETRY);
      return;
    }
    beginning = true;
    owner.beginPreCopy(
        record.epoch(),
        session,
        grid.blocks(),
        (newSession, stale, error) -> {
          beginning = false;
          if (stopped) {
            return;
          }
          if (error != null) {
            failed(error);
          } else {
            begun(newSession, stale);
          }
        });
  }

  private void begun(long newSession, BlockMap stale) {
    boolean anew = stale.cardinality() == grid.blocks();
    session = newSession;
    inSession = owner.inPreCopy(newSession);
    Runs.forEach(
        stale,
        0,
        stale.blocks(),
        true,
        (from, to) -> {
          if (!anew && mode == PreCopyMode.HOT_LAST) {
            noteWritten(from, to);
          }
          held.forget(from, to);
          return true;
        });
    if (anew) {
      holes.restart();
    }
    passes++;
    copying = true;
    // Holes come first, and not beside reads: see above.
    if (holes.isOver()) {
      copy();
    } else {
      askForHoles();
    }
  }

  /** Those of the range that were here already. */
  private void noteWritten(long from, long to) {
    for (long block = held.nextHeld(from); block < to; ) {
      long end = Math.min(to, held.nextMissing(block));
      written.set(block, end);
      block = held.nextHeld(end);
    }
  }

  private void failed(Exception error) {
    copying = false;
    if (error instanceof OriginException refused && refused.code() == Refused.Code.UNSUPPORTED) {
      VolumeLog.about(log.atInfo(), record)
          .log("volume {}: no pre-copy: {}", record.name(), error.getMessage());
      givenUp = true;
    }
    beginLater(error instanceof OriginException ? REFUSED : RETRY);
  }

  private void beginLater(Duration delay) {
    if (!retrying) {
      retrying = true;
      loop.after(
          delay,
          () -> {
            retrying = false;
            begin();
          });
    }
  }

  /** Nothing of the session is under way, nor a store of a pre-copy before this one. */
  private boolean quiet() {
    return outstanding == 0 && !inFlight.storing(0, grid.blocks());
  }

  private void passEnds() {
    copying = false;
    VolumeLog.about(log.atInfo(), record)
        .log("volume {}: pre-copy: {} bytes are here", record.name(), held.bytes());
    if (mode == PreCopyMode.FULL && passes < PASSES) {
      loop.after(PAUSE, this::begin);
    } else {
      ended = true;
    }
  }

  // ---- what is asked for

  private void askForHoles() {
    outstanding++;
    holes.goOn(inSession);
  }

  private final class HolesFound implements HoleSearch.Host {
    @Override
    public void hole(long offset, long length) {
      arrived(offset, length, null);
    }

    @Override
    public void answered(Exception error) {
      outstanding--;
      if (stopped) {
        return;
      }
      if (error != null) {
        failed(error);
      } else if (holes.isOver()) {
        askForHeat();
        copy();
      } else {
        askForHoles();
      }
    }
  }

  /** Only the order depends on it: the copy doesn't wait. */
  private void askForHeat() {
    if (!heatAsked) {
      heatAsked = true;
      inSession.heat(
          grid.size(),
          (heat, error) -> {
            if (heat != null) {
              order.heat(heat.coldestFirst());
            }
          });
    }
  }

  private void copy() {
    // Not before all holes are known: one that comes beside a read of the same blocks would be held
    // as the hole that it was when it was sent, and the newer answer be dropped.
    while (!stopped && copying && holes.isOver() && !waitsForLane) {
      CopyOrder.Piece next = order.next(toCopy::next);
      if (next == null) {
        if (quiet()) {
          passEnds();
        }
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
      outstanding++;
      new Copy(from, to, slot).ask(inSession, Role.BULK, grid, lane);
    }
  }

  private void laneIsFree() {
    waitsForLane = false;
    copy();
  }

  private final class Copy extends BlockRead {
    Copy(long from, long to, BulkLane.Slot slot) {
      super(asked, from, to, slot);
    }

    @Override
    void arrived(long offset, long length, ByteBuf payload) {
      PreCopy.this.arrived(offset, length, payload);
    }

    @Override
    void ending(Exception error) {
      outstanding--;
      if (error != null && !stopped) {
        // First of all: a free slot would be used at once, in a session that is over.
        failed(error);
      }
    }

    @Override
    void ended(Exception error) {
      if (error == null) {
        copy();
      }
    }
  }

  // ---- what comes

  private void arrived(long offset, long length, ByteBuf payload) {
    if (!stopped) {
      arrivals.store(
          offset,
          length,
          payload,
          (from, to, zero, ticket, error) -> stored(from, to, ticket, error));
    }
  }

  private void stored(long from, long to, InFlight.Ticket ticket, IOException error) {
    if (error == null && !stopped) {
      held.hold(from, to);
    }
    inFlight.endStore(ticket);
    if (stopped) {
      return;
    }
    if (error == null) {
      copy();
    } else if (DiskTrouble.of(error) == DiskTrouble.FULL) {
      VolumeLog.about(log.atWarn(), record)
          .log("volume {}: pre-copy ends: {}", record.name(), error.getMessage());
      copying = false;
      givenUp = true;
    } else {
      replica.broken(error);
    }
  }
}
