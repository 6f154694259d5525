// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.source;

import io.netty.buffer.ByteBuf;
import io.vmferry.nbd.client.NbdConnection;
import io.vmferry.nbd.client.ServerExport;
import io.vmferry.relay.copy.BlockSource;
import io.vmferry.relay.copy.BulkLane;
import io.vmferry.relay.copy.Origin;
import io.vmferry.relay.copy.OriginException;
import io.vmferry.relay.copy.RateLimit;
import io.vmferry.relay.exec.Loop;
import io.vmferry.relay.map.BlockGrid;
import io.vmferry.relay.peer.RoundTrip;
import io.vmferry.relay.peer.wire.Refused;
import io.vmferry.relay.peer.wire.Role;
import io.vmferry.relay.volume.Sources;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.List;
import java.util.function.Function;

/**
 * A volume's content at a plain NBD server.
 *
 * <p>What guests wait for goes over a connection of its own if the server promises that several
 * show the same content; a server that doesn't may well serve one client only. The size is compared
 * at each connection: a server that has another one now is not asked any more, since its content
 * can't be that of before. Whether somebody else writes to the export can't be seen from here. Loop
 * only.
 */
final class NbdSource implements BlockSource, Sources.Source {
  /** Bytes of one question for extents: the answer is short of its limit even if all alternate. */
  static final long EXTENTS_RANGE = 1L << 30;

  private static final ByteBuffer ZEROES = ByteBuffer.allocateDirect(BlockGrid.BLOCK);

  private final String uri;
  private final String server;
  private final String volume;
  private final long size;
  private final Loop loop;
  private final Runnable whenUp;
  private final SourceLink demand;
  private final SourceLink bulk;
  private final BulkLane lane;

  private ServerExport export;
  private boolean bulkOpened;

  /**
   * @param volume its name, for people
   * @param size bytes that the server must have
   * @param links makes a connection that tells a listener
   */
  NbdSource(
      String uri,
      String server,
      String volume,
      long size,
      Loop loop,
      RateLimit limit,
      Runnable whenUp,
      Function<SourceLink.Listener, SourceLink> links) {
    this.uri = uri;
    this.server = server;
    this.volume = volume;
    this.size = size;
    this.loop = loop;
    this.whenUp = whenUp;
    // NBD has no ping: the time of answers is all that the window has.
    this.lane = new BulkLane(loop, () -> RoundTrip.UNKNOWN, limit);
    this.demand = links.apply(new Listener(true));
    this.bulk = links.apply(new Listener(false));
  }

  void open() {
    demand.open();
  }

  @Override
  public BlockSource blocks() {
    return this;
  }

  @Override
  public BulkLane lane() {
    return lane;
  }

  @Override
  public void close() {
    demand.close();
    bulk.close();
  }

  @Override
  public String name() {
    return uri;
  }

  @Override
  public boolean up() {
    return demand.up();
  }

  @Override
  public String waitingFor() {
    if (demand.up()) {
      return null;
    }
    return demand.refused() ? demand.problem() : demand.problem() + "; it reconnects by itself";
  }

  /** What both connections have in common: whom they may talk to. */
  private final class Listener implements SourceLink.Listener {
    private final boolean first;

    Listener(boolean first) {
      this.first = first;
    }

    @Override
    public String connected(ServerExport found) {
      if (found.size() != size) {
        return "NBD server "
            + server
            + ": the export has "
            + found.size()
            + " bytes now, volume "
            + volume
            + " has "
            + size
            + ": it is another disk, and is not asked any more; mend that and restart the relay, or"
            + " delete the volume";
      }
      return null;
    }

    @Override
    public void up() {
      if (first) {
        export = demand.export();
        if (export.multiConn() && !bulkOpened) {
          bulkOpened = true;
          bulk.open();
        }
        whenUp.run();
      }
    }
  }

  // ---- reads

  @Override
  public void read(Role role, long offset, int length, boolean compressed, Origin.Sink sink) {
    SourceLink link = role == Role.BULK && bulk.up() ? bulk : demand;
    if (!link.up()) {
      loop.execute(() -> sink.end(new IOException(link.problem())));
      return;
    }
    new Reading(link, offset, offset + length, sink).next();
  }

  /** One read, in as many requests as the server's largest payload makes necessary. */
  private final class Reading implements NbdConnection.ReadAnswer {
    private final SourceLink link;
    private final long end;
    private final Origin.Sink sink;
    private long next;

    /** What was asked for: begins and ends at the server's blocks. */
    private long asked;

    Reading(SourceLink link, long offset, long end, Origin.Sink sink) {
      this.link = link;
      this.next = offset;
      this.end = end;
      this.sink = sink;
    }

    void next() {
      ServerExport from = link.export();
      if (from == null) {
        loop.execute(() -> failed(new IOException(link.problem())));
        return;
      }
      int block = from.minBlock();
      asked = next / block * block;
      long last = (end + block - 1) / block * block;
      link.read(asked, (int) Math.min(last - asked, from.maxPayload()), this);
    }

    @Override
    public void data(ByteBuf data, int onWire) {
      try {
        int skipped = (int) (next - asked);
        int wanted = (int) Math.min(end - next, data.readableBytes() - skipped);
        deliver(data, skipped, wanted, onWire);
        next += wanted;
      } finally {
        data.release();
      }
      if (next < end) {
        next();
      } else {
        sink.end(null);
      }
    }

    /** In runs of blocks with and without content: zeroes take no space here either. */
    private void deliver(ByteBuf data, int index, int length, int onWire) {
      int wire = onWire;
      for (int from = 0; from < length; ) {
        boolean zero = isZero(data, index + from, blockEnd(from, length) - from);
        int to = blockEnd(from, length);
        while (to < length && isZero(data, index + to, blockEnd(to, length) - to) == zero) {
          to = blockEnd(to, length);
        }
        if (zero) {
          sink.zeroes(next + from, to - from);
        } else {
          // Zeroes may have travelled too: they are counted with the data behind them.
          sink.data(next + from, data.slice(index + from, to - from), wire);
          wire = 0;
        }
        from = to;
      }
    }

    private int blockEnd(int at, int length) {
      long end = (BlockGrid.blockAt(next + at) + 1) * BlockGrid.BLOCK - next;
      return (int) Math.min(end, length);
    }

    @Override
    public void failed(IOException error) {
      sink.end(error);
    }
  }

  private static boolean isZero(ByteBuf data, int index, int length) {
    return data.nioBuffer(index, length).mismatch(ZEROES.slice(0, length)) < 0;
  }

  // ---- holes and heat

  @Override
  public void holes(long offset, long volumeSize, Origin.HoleSink sink) {
    SourceLink link = bulk.up() ? bulk : demand;
    if (!link.up()) {
      loop.execute(() -> sink.end(offset, new IOException(link.problem())));
      return;
    }
    if (link.export().allocation() == null) {
      loop.execute(() -> sink.end(volumeSize, null));
      return;
    }
    int block = link.export().minBlock();
    long from = offset / block * block;
    link.extents(
        from,
        Math.min(EXTENTS_RANGE, size - from),
        new NbdConnection.ExtentsAnswer() {
          @Override
          public void extents(List<NbdConnection.Extent> extents) {
            long at = from;
            for (NbdConnection.Extent extent : extents) {
              long begin = Math.max(at, offset);
              long end = at + extent.length();
              // A hole alone doesn't say that it reads as zeroes.
              if (extent.zero() && begin < end) {
                sink.hole(begin, end - begin);
              }
              at = end;
            }
            sink.end(at, null);
          }

          @Override
          public void failed(IOException error) {
            sink.end(offset, error);
          }
        });
  }

  @Override
  public void heat(long volumeSize, Origin.HeatSink sink) {
    loop.execute(
        () ->
            sink.heat(
                null,
                new OriginException(
                    Refused.Code.UNSUPPORTED, "an NBD server can't tell what was used last")));
  }
}
