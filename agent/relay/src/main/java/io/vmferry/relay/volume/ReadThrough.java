// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.volume;

import io.netty.buffer.ByteBuf;
import io.vmferry.relay.copy.BlockSource;
import io.vmferry.relay.copy.Origin;
import io.vmferry.relay.map.BlockGrid;
import io.vmferry.relay.peer.wire.Role;
import io.vmferry.relay.store.BlockFile;
import java.io.IOException;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import java.util.function.Consumer;

/**
 * Reads of an incomplete replica whose disk is full: held blocks come from the file, missing ones
 * from the origin straight into the answer, and nothing is stored. A lost link makes them wait.
 *
 * <p>Each piece is looked up when its turn comes, so a block that a guest writes meanwhile is read
 * from the file. Loop only.
 */
final class ReadThrough {
  /** One read, and how it ends: with exactly one of {@link #done} and {@link #again}. */
  interface Request {
    long offset();

    int length();

    /** Takes the content; not to be touched when the request isn't alive. */
    ByteBuf buffer();

    /** Whether somebody still waits for the answer. */
    boolean alive();

    /** All content is in the buffer, or the file could not be read. */
    void done(IOException error);

    /**
     * The volume changed state: the buffer is as it was, and the request is to be looked at anew.
     */
    void again();
  }

  private final BlockGrid grid;
  private final BlockFile file;
  private final HeldBlocks held;
  private final InFlight inFlight;
  private final BlockSource origin;
  private final FetchCounters counters;
  private final Consumer<Exception> failed;
  private final Set<Reading> readings = new LinkedHashSet<>();

  /**
   * @param failed told why the origin gave no answer; what waits for it is asked again by {@link
   *     #retry}
   */
  ReadThrough(
      LocalReplica replica,
      BlockSource origin,
      FetchCounters counters,
      Consumer<Exception> failed) {
    this.grid = replica.grid();
    this.file = replica.file();
    this.held = replica.held();
    this.inFlight = replica.inFlight();
    this.origin = origin;
    this.counters = counters;
    this.failed = failed;
  }

  void read(Request request) {
    Reading reading = new Reading(request);
    readings.add(reading);
    reading.next();
  }

  /** What failed at the origin is asked again: the link is back, or some time has passed. */
  void retry() {
    List.copyOf(readings).forEach(Reading::retry);
  }

  /** How many reads are under way. */
  int waiting() {
    return readings.size();
  }

  /**
   * Nothing is asked for any more. Returns what is to be run later; a read of the file that is
   * under way ends first and then looks again by itself.
   */
  List<Runnable> stop() {
    List<Runnable> waiting = new ArrayList<>();
    for (Reading reading : readings) {
      reading.stopped = true;
      if (!reading.inFile) {
        waiting.add(reading::again);
      }
    }
    readings.clear();
    return waiting;
  }

  private final class Reading extends AnswerSink {
    private final Request request;
    private boolean inFile;
    private boolean unanswered;
    private boolean stopped;

    Reading(Request request) {
      super(request.buffer());
      this.request = request;
    }

    void next() {
      int read = filled();
      if (read == request.length()) {
        readings.remove(this);
        request.done(null);
        return;
      }
      long at = request.offset() + read;
      long end = request.offset() + request.length();
      long block = BlockGrid.blockAt(at);
      if (held.has(block, block + 1)) {
        fromFile(at, (int) (Math.min(end, grid.offsetOf(held.nextMissing(block))) - at));
      } else {
        long until = Math.min(end, grid.offsetOf(held.nextHeld(block)));
        int length = (int) Math.min(until - at, Origin.MAX_READ);
        origin.read(Role.DEMAND, at, length, false, this);
      }
    }

    private void fromFile(long at, int length) {
      inFile = true;
      inFlight.begin();
      file.read(
          at,
          buffer(),
          length,
          error -> {
            inFile = false;
            if (stopped) {
              again();
            } else if (error != null) {
              readings.remove(this);
              request.done(error);
            } else {
              goOn();
            }
            inFlight.end();
          });
    }

    private void again() {
      if (request.alive()) {
        empty();
      }
      request.again();
    }

    void retry() {
      if (unanswered) {
        unanswered = false;
        goOn();
      }
    }

    private void goOn() {
      if (request.alive()) {
        next();
      } else {
        readings.remove(this);
        request.again();
      }
    }

    @Override
    public void data(long offset, ByteBuf payload, int onWire) {
      counters.wire(onWire);
      super.data(offset, payload, onWire);
    }

    @Override
    public void end(Exception error) {
      if (stopped) {
        return;
      }
      if (error == null) {
        goOn();
      } else {
        unanswered = true;
        failed.accept(error);
      }
    }

    @Override
    boolean wanted() {
      return !stopped && request.alive();
    }
  }
}
