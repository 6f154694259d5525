// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.volume;

import io.netty.buffer.ByteBuf;
import io.vmferry.relay.map.BlockGrid;
import io.vmferry.relay.map.HeatRanks;
import io.vmferry.relay.store.BlockFile;
import java.io.IOException;

/**
 * What other nodes read of a replica. They are served in every state, also while guests' requests
 * are parked, as long as the blocks are here or can be fetched; whether a peer may read is checked
 * before. Loop only.
 */
public final class PeerReads {
  /** Answer to a peer's read. */
  public interface Answer {
    /** The range's content; released by the callee. Null on error. */
    void done(ByteBuf data, String error);
  }

  private final LocalReplica replica;
  private final Replicas replicas;
  private final FetchMode fetchMode;
  private final ParkedWork parked;
  private final InFlight underWay = new InFlight();

  PeerReads(LocalReplica replica, Replicas replicas, FetchMode fetchMode, ParkedWork parked) {
    this.replica = replica;
    this.replicas = replicas;
    this.fetchMode = fetchMode;
    this.parked = parked;
  }

  /**
   * Reads a range; missing blocks are fetched first.
   *
   * @param buffer takes the content; owned by the answer from now on
   */
  public void read(long offset, int length, ByteBuf buffer, Answer answer) {
    VolumeRecord record = replica.record();
    long from = BlockGrid.blockAt(offset);
    long to = BlockGrid.blockAfter(offset + length);
    if (replica.failure() != null) {
      buffer.release();
      answer.done(null, replica.failure());
    } else if (record.held() != VolumeRecord.Held.NONE && replica.held().has(from, to)) {
      underWay.begin();
      replica
          .file()
          .read(
              offset,
              buffer,
              length,
              error -> {
                underWay.end();
                reply(buffer, error, answer);
              });
    } else if (fetchMode.fetched() != null) {
      fetchMode.fetched().read(new Miss(this, offset, length, buffer, answer));
    } else if (replica.isParked()) {
      parked.later(() -> read(offset, length, buffer, answer));
    } else {
      buffer.release();
      answer.done(null, "this replica of volume " + record.name() + " does not hold the block");
    }
  }

  /** Extents of the data file for a peer that asks for holes; null while blocks are missing. */
  public BlockFile fileForHoles() {
    return replica.held().isComplete() && replica.failure() == null ? replica.file() : null;
  }

  /**
   * The range is about to be read for a standby that {@link Replicas#isPreCopying copies}: its
   * whole blocks aren't stale there any more, unless they change. To be called before the content
   * is looked at, so that a write that comes in between is not missed.
   */
  public void sendInPreCopy(String node, long offset, long length) {
    BlockGrid grid = replica.grid();
    replicas.send(
        node, grid.firstCovered(offset), grid.endCovered(offset + length), replica.inFlight());
  }

  /** What the guest used last here: whoever fetches begins with that. */
  public HeatRanks heat() {
    return replica.heat().ranks();
  }

  /** Runs {@code then} once no read of the file is under way. */
  void whenIdle(Runnable then) {
    underWay.whenIdle(then);
  }

  private static void reply(ByteBuf buffer, IOException error, Answer answer) {
    if (error == null) {
      answer.done(buffer, null);
    } else {
      buffer.release();
      answer.done(null, error.getMessage());
    }
  }

  /** A read of blocks that this replica is still fetching itself. */
  private record Miss(PeerReads reads, long offset, int length, ByteBuf buffer, Answer answer)
      implements ReadThrough.Request {

    /** A peer that is gone is found out by who sends the answer. */
    @Override
    public boolean alive() {
      return true;
    }

    @Override
    public void done(IOException error) {
      reply(buffer, error, answer);
    }

    @Override
    public void again() {
      reads.read(offset, length, buffer, answer);
    }
  }
}
