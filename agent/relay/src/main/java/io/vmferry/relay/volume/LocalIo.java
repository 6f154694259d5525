// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.volume;

import io.netty.buffer.ByteBuf;
import io.netty.channel.FileRegion;
import io.vmferry.nbd.NbdError;
import io.vmferry.nbd.NbdSession;
import io.vmferry.relay.map.BlockGrid;
import io.vmferry.relay.map.HeatMap;
import io.vmferry.relay.store.BlockFile;
import java.io.IOException;

/**
 * Carries out guest requests at the owner: from the local file, and through {@link FetchedVolume}
 * for blocks that aren't here yet. Reads of present blocks and all writes of whole blocks never
 * wait for the network. Loop only.
 *
 * <p>The order for a write: wait for stores to the same blocks; mark stale for other replicas;
 * write; hold; reply.
 */
final class LocalIo {
  /** What the requests need from their volume. */
  interface Host {
    /** Looks at the request again from the beginning: the volume may be in another state by now. */
    void again(GuestRequest request);

    /** The data file is broken: the volume is stopped. */
    void broken(IOException error);

    /** A guest write made blocks present. */
    void heldByGuest();
  }

  private final BlockGrid grid;
  private final BlockFile file;
  private final HeldBlocks held;
  private final FetchedVolume fetched;
  private final Replicas replicas;
  private final HeatMap heat;
  private final ContentTag content;
  private final InFlight inFlight;
  private final Durability durability;
  private final FetchCounters counters;
  private final Host host;

  /**
   * For one replica while it is the owner.
   *
   * @param fetched null if the replica is complete
   */
  LocalIo(
      BlockGrid grid,
      BlockFile file,
      HeldBlocks held,
      FetchedVolume fetched,
      Replicas replicas,
      HeatMap heat,
      ContentTag content,
      InFlight inFlight,
      Durability durability,
      FetchCounters counters,
      Host host) {
    this.grid = grid;
    this.file = file;
    this.held = held;
    this.fetched = fetched;
    this.replicas = replicas;
    this.heat = heat;
    this.content = content;
    this.inFlight = inFlight;
    this.durability = durability;
    this.counters = counters;
    this.host = host;
  }

  void execute(GuestRequest request) {
    switch (request.kind) {
      case READ -> read(request);
      case WRITE -> write(request);
      case ZERO -> zero(request);
      case TRIM -> trim(request);
      case STATUS -> status(request);
      case FLUSH -> flush(request);
    }
  }

  private void read(GuestRequest request) {
    heat.touch(request.offset, request.length);
    long from = BlockGrid.blockAt(request.offset);
    long to = BlockGrid.blockAfter(request.end());
    if (!held.has(from, to)) {
      // First what the guest waits for, then what it will.
      fetched.read(new GuestRead(request));
      fetched.reading(from, to);
      return;
    }
    if (fetched != null && !held.isComplete()) {
      fetched.reading(from, to);
    }
    NbdSession.ReadReply reply = request.readReply();
    int length = (int) request.length;
    FileRegion cached = file.cached(request.offset, length, reply.socket());
    if (cached != null) {
      request.succeed(cached);
      return;
    }
    inFlight.begin();
    file.read(request.offset, reply.buffer(), length, request.carriedOutBy(this));
  }

  private void write(GuestRequest request) {
    heat.touch(request.offset, request.length);
    change(request, BlockGrid.blockAt(request.offset), BlockGrid.blockAfter(request.end()));
  }

  private void zero(GuestRequest request) {
    change(request, BlockGrid.blockAt(request.offset), BlockGrid.blockAfter(request.end()));
  }

  private void trim(GuestRequest request) {
    // Only whole blocks: nothing is gained by a partial one, and it would have to be fetched.
    long from = grid.firstCovered(request.offset);
    long to = grid.endCovered(request.end());
    if (from >= to) {
      request.succeed();
      return;
    }
    change(request, from, to);
  }

  /**
   * Changes the content of {@code [from, to)}, of whose edge blocks the request may cover a part.
   */
  private void change(GuestRequest request, long from, long to) {
    if (!held.isComplete()) {
      boolean wholeFirst = grid.firstCovered(request.offset) <= from;
      boolean wholeLast = grid.endCovered(request.end()) >= to;
      boolean edgesHere =
          (wholeFirst || held.has(from, from + 1)) && (wholeLast || held.has(to - 1, to));
      if (request.fast && !edgesHere) {
        request.fail(NbdError.ENOTSUP, "a partly covered block must be fetched first");
        return;
      }
      if (!wholeFirst && !held.has(from, from + 1)) {
        fetched.require(from, from + 1, new PartOfBlock(request));
        return;
      }
      if (!wholeLast && !held.has(to - 1, to)) {
        fetched.require(to - 1, to, new PartOfBlock(request));
        return;
      }
      if (inFlight.storing(from, to)) {
        inFlight.afterStores(() -> host.again(request));
        return;
      }
    }
    content.changed();
    replicas.mark(from, to);
    inFlight.beginWrite(request.ticket, from, to);
    request.carriedOutBy(this);
    switch (request.kind) {
      case WRITE -> file.write(request.offset, request.data, request);
      case ZERO -> file.zero(request.offset, request.length, request.mayPunch, request);
      case TRIM -> file.zero(grid.offsetOf(from), grid.bytes(from, to), true, request);
      default -> throw new AssertionError(request);
    }
  }

  /** The operation on the file that a request began is over. */
  void done(GuestRequest request, IOException error) {
    if (request.changesContent()) {
      changed(request, request.ticket.from(), request.ticket.to(), error);
    } else {
      inFlight.end();
      reply(request, error);
    }
  }

  private void changed(GuestRequest request, long from, long to, IOException error) {
    if (error == null && !held.isComplete()) {
      long overwritten = held.hold(from, to);
      if (overwritten > 0) {
        counters.overwritten(overwritten * BlockGrid.BLOCK);
      }
      host.heldByGuest();
    }
    content.changed();
    inFlight.endWrite(request.ticket);
    if (error == null && request.fua) {
      flush(request);
    } else {
      reply(request, error);
    }
  }

  /** A change that covers a part of a missing block: without space it can't be made. */
  private final class PartOfBlock implements FetchedVolume.Waiting {
    private final GuestRequest request;

    PartOfBlock(GuestRequest request) {
      this.request = request;
    }

    @Override
    public void again() {
      host.again(request);
    }

    @Override
    public void full(IOException error) {
      reply(request, error);
    }
  }

  /** A read of missing blocks. */
  private final class GuestRead implements ReadThrough.Request {
    private final GuestRequest request;

    GuestRead(GuestRequest request) {
      this.request = request;
    }

    @Override
    public long offset() {
      return request.offset;
    }

    @Override
    public int length() {
      return (int) request.length;
    }

    @Override
    public ByteBuf buffer() {
      return request.readReply().buffer();
    }

    @Override
    public boolean alive() {
      return request.alive();
    }

    @Override
    public void done(IOException error) {
      reply(request, error);
    }

    @Override
    public void again() {
      host.again(request);
    }
  }

  private void flush(GuestRequest request) {
    inFlight.begin();
    durability.force(
        error -> {
          inFlight.end();
          reply(request, error);
        });
  }

  private void status(GuestRequest request) {
    NbdSession.StatusReply reply = request.statusReply();
    long from = BlockGrid.blockAt(request.offset);
    if (!held.has(from, from + 1)) {
      // What the origin has is unknown here: never claim a hole. One extent is a full answer.
      long end = Math.min(request.end(), grid.offsetOf(held.nextHeld(from)));
      reply.extent(end - request.offset, false, false);
      request.succeed();
      return;
    }
    long end = Math.min(request.end(), grid.offsetOf(held.nextMissing(from)));
    inFlight.begin();
    file.extents(
        request.offset,
        end - request.offset,
        (offset, length, hole) -> reply.extent(length, hole, hole),
        error -> {
          inFlight.end();
          reply(request, error);
        });
  }

  private void reply(GuestRequest request, IOException error) {
    if (error == null) {
      request.succeed();
    } else if (DiskTrouble.of(error) == DiskTrouble.FULL) {
      request.fail(NbdError.ENOSPC, error.getMessage());
    } else {
      host.broken(error);
      request.fail(NbdError.EIO, error.getMessage());
    }
  }
}
