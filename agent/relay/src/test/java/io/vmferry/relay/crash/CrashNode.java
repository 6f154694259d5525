// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.crash;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.Unpooled;
import io.vmferry.api.Epoch;
import io.vmferry.config.PreCopyMode;
import io.vmferry.nbd.NbdClient;
import io.vmferry.nbd.NbdError;
import io.vmferry.nbd.NbdExportException;
import io.vmferry.nbd.NbdSession;
import io.vmferry.relay.copy.BulkLane;
import io.vmferry.relay.copy.FakeLink;
import io.vmferry.relay.copy.RateLimit;
import io.vmferry.relay.exec.DiskTasks;
import io.vmferry.relay.exec.RequestCount;
import io.vmferry.relay.history.BlockHistory;
import io.vmferry.relay.map.BlockMap;
import io.vmferry.relay.map.HeapBlockMap;
import io.vmferry.relay.peer.wire.Role;
import io.vmferry.relay.sim.VirtualTime;
import io.vmferry.relay.store.MemoryBlockFile;
import io.vmferry.relay.volume.Commits;
import io.vmferry.relay.volume.LocalProcess;
import io.vmferry.relay.volume.NoSources;
import io.vmferry.relay.volume.Unheard;
import io.vmferry.relay.volume.Volume;
import io.vmferry.relay.volume.VolumeEnvironment;
import io.vmferry.relay.volume.VolumeRecord;
import io.vmferry.relay.volume.VolumeStorage;
import io.vmferry.relay.volume.Volumes;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Optional;
import java.util.UUID;

/**
 * One life of a relay at node "b" with one volume of two blocks, which it took over from node "a":
 * the real volume, journal and durable files on a {@link CrashDisk}, in virtual time, with an
 * origin that answers when it is told to.
 */
final class CrashNode {
  static final int BLOCK = 4096;
  static final int SECTOR = 512;

  /** The second block is short: a volume's size need not be a multiple of a block. */
  static final int SIZE = BLOCK + BLOCK / 2;

  static final int SECTORS = SIZE / SECTOR;
  private static final UUID VOLUME = new UUID(3, 4);
  private static final String NAME = "vol";

  /** What the replica's file holds before anything is fetched: to be read never. */
  private static final long GARBAGE = 7;

  /** Longer than the time between two forces of the background. */
  private static final Duration UNTIL_FORCED = Duration.ofSeconds(3);

  private static final int PUMP_LIMIT = 1_000;

  private final CrashDisk disk;
  private final VirtualTime time = new VirtualTime();
  private final VirtualTime.NodeLoop loop = time.new NodeLoop();
  private final DiskTasks tasks = new DiskTasks(loop, loop);
  private final FakeLink origin = new FakeLink("a");
  private final Volumes volumes;
  private final long[] originContent;
  private Volume volume;
  private NbdSession session;
  private BlockHistory history;
  private boolean newestFirst;

  /** Where the volume was before the takeover that a run begins with. */
  enum Start {
    /** Never here: nothing is held. */
    NEW,
    /**
     * Here, then at "a", which wrote the first block again: the journal of the first time must not
     * count any more.
     */
    RETURNING;

    /** What node "a" has when it releases the volume: a hole in the second block. */
    long[] originContent() {
      long[] content = new long[SECTORS];
      for (int sector = 0; sector < BLOCK / SECTOR; sector++) {
        content[sector] = (this == NEW ? 1_000L : 2_000L) + sector;
      }
      return content;
    }
  }

  private CrashNode(CrashDisk disk, long[] originContent) {
    this.disk = disk;
    this.originContent = originContent;
    BulkLane lane = new BulkLane(loop, origin::roundTrip, new RateLimit(null, 0));
    volumes =
        new Volumes(
            "b",
            new VolumeEnvironment(
                loop,
                new RequestCount(),
                tasks,
                disk,
                new Commits(tasks),
                pid -> Optional.of(new LocalProcess(pid, 1)),
                () -> Instant.EPOCH,
                node -> origin,
                node -> lane,
                new NoSources(),
                () -> PreCopyMode.NONE,
                new Unheard()));
  }

  /** A standby, the moment before its takeover. */
  static CrashNode standby(CrashDisk disk, Start start) throws IOException {
    CrashNode node = new CrashNode(disk, start.originContent());
    var unused =
        node.volumes.add(VolumeRecord.standby(NAME, VOLUME, SIZE, new Epoch(1, "a"), null));
    node.run();
    node.volume = node.volumes.byName(NAME);
    disk.file().write(0, stamps(GARBAGE, SECTORS), error -> {});
    disk.file().force(error -> {});
    if (start == Start.RETURNING) {
      node.takeOver();
      node.step(CrashStep.WRITE_0, 90);
      node.release();
    }
    return node;
  }

  /** To node "a", and attached to it again. */
  private void release() throws IOException {
    session.closed(true);
    history = null;
    volume.quiesce(CrashNode::mustWork);
    run();
    VolumeRecord released =
        volume.record().released(volume.record().epoch().next("a"), Instant.EPOCH);
    disk.commit(List.of(released));
    volume.become(released);
    VolumeRecord attached = released.attached(released.epoch(), null);
    disk.commit(List.of(attached));
    volume.become(attached);
    run();
    origin.calls().forEach(FakeLink.Call::lose);
    run();
  }

  /** The next process on a disk that a crash has left; whether there is a volume, the disk says. */
  static CrashNode restarted(CrashDisk disk, long[] originContent) throws IOException {
    CrashNode node = new CrashNode(disk, originContent);
    node.volumes.start(disk.load());
    node.volume = node.volumes.byName(NAME);
    node.run();
    return node;
  }

  /**
   * The volume becomes the owner of the next epoch, as the handover does it, and a guest opens it.
   * Nothing that it may hold from before is still right.
   */
  void takeOver() throws IOException {
    volume.quiesce(CrashNode::mustWork);
    run();
    VolumeRecord record = volume.record().takenOver(volume.record().epoch().next("b"), "a");
    BlockMap held = HeapBlockMap.allClear(volume.grid().blocks());
    VolumeStorage.HeldMaps maps = disk.beginFetching(record, record.epoch(), held);
    disk.commit(List.of(record));
    volume.takeOver(record, maps.journal(), maps.live(), "a", disk.staleMap(record, "a", true));
    openBy(new BlockHistory(originContent));
    run();
  }

  private void openBy(BlockHistory newHistory) {
    history = newHistory;
    try {
      session = volume.open(new NbdClient(1, 1, 0));
    } catch (NbdExportException e) {
      throw new AssertionError(e);
    }
  }

  /** Does a step from beginning to end. */
  void step(CrashStep step, int number) {
    begin(step, number);
    pump();
  }

  /**
   * Begins both steps before anything of either has reached the disk, then lets the disk work.
   *
   * @param reversed the disk does always what was asked last
   */
  void together(CrashStep first, CrashStep second, int number, boolean reversed) {
    newestFirst = reversed;
    disk.file().hold();
    begin(first, number);
    time.run(Duration.ZERO);
    begin(second, number + 1);
    pump();
    disk.file().flow();
    pump();
  }

  private void begin(CrashStep step, int number) {
    switch (step) {
      case WRITE_0 -> write(0, 8, number, false);
      case WRITE_1 -> write(8, 4, number, false);
      case WRITE_PART_0 -> write(5, 3, number, false);
      case WRITE_PART_1 -> write(8, 2, number, false);
      case WRITE_FUA_0 -> write(0, 8, number, true);
      case WRITE_FUA_1 -> write(8, 4, number, true);
      case ZERO_0 -> new Request(BlockHistory.Kind.ZERO, 0, 8, 0, false).send();
      case ZERO_1 -> new Request(BlockHistory.Kind.ZERO, 8, 4, 0, false).send();
      case TRIM_0 -> new Request(BlockHistory.Kind.TRIM, 0, 8, 0, false).send();
      case TRIM_1 -> new Request(BlockHistory.Kind.TRIM, 8, 4, 0, false).send();
      case READ_0 -> new Request(BlockHistory.Kind.READ, 0, 8, 0, false).send();
      case READ_1 -> new Request(BlockHistory.Kind.READ, 8, 4, 0, false).send();
      case FLUSH -> new Request(BlockHistory.Kind.FLUSH, 0, 0, 0, false).send();
      case COPY -> copy();
      case CHECKPOINT -> time.run(UNTIL_FORCED);
    }
  }

  private void write(int first, int count, int number, boolean fua) {
    new Request(BlockHistory.Kind.WRITE, first, count, number, fua).send();
  }

  private void copy() {
    for (FakeLink.Call call : origin.reads(Role.BULK)) {
      answer(call);
    }
  }

  /** Until nothing more happens by itself. */
  private void pump() {
    MemoryBlockFile file = disk.file();
    for (int i = 0; i < PUMP_LIMIT; i++) {
      time.run(Duration.ZERO);
      List<FakeLink.Call> demanded = origin.reads(Role.DEMAND);
      if (demanded.isEmpty() && file.held().isEmpty()) {
        return;
      }
      demanded.forEach(this::answer);
      if (!file.held().isEmpty()) {
        file.release(newestFirst ? file.held().size() - 1 : 0);
      }
    }
    throw new AssertionError("it never comes to rest");
  }

  private void answer(FakeLink.Call call) {
    long from = call.request().getRead().getOffset();
    long to = from + call.request().getRead().getLength();
    for (long offset = from; offset < to; ) {
      int length = (int) Math.min(to - offset, BLOCK);
      int first = (int) offset / SECTOR;
      if (originContent[first] == 0) {
        call.zeroes(offset, length);
      } else {
        ByteBuffer data = ByteBuffer.allocate(length);
        while (data.hasRemaining()) {
          data.putLong(originContent[first + data.position() / SECTOR]);
        }
        call.data(offset, data.array());
      }
      offset += length;
    }
    call.end();
  }

  /** A guest that found what is here now flushes it. */
  void flush() {
    openBy(new BlockHistory(content()));
    step(CrashStep.FLUSH, 1);
  }

  /** The origin answers everything, until the volume is complete; then a guest flushes. */
  void complete() {
    for (int i = 0; i < PUMP_LIMIT && !origin.calls().isEmpty() && !isComplete(); i++) {
      copy();
      time.run(UNTIL_FORCED);
    }
    flush();
  }

  boolean isComplete() {
    return volume.record().held() == VolumeRecord.Held.ALL;
  }

  /**
   * What a guest would read here now, from the file or from the origin; null before the takeover.
   */
  long[] content() {
    if (volume == null || !volume.isOwner()) {
      return null;
    }
    BlockMap held = volume.heldSnapshot();
    ByteBuffer file = ByteBuffer.wrap(disk.file().content());
    long[] content = new long[SECTORS];
    for (int sector = 0; sector < SECTORS; sector++) {
      content[sector] =
          held.get(sector * SECTOR / BLOCK) ? stamp(file, sector * SECTOR) : originContent[sector];
    }
    return content;
  }

  /** The sector's one value; -1 if it has more than one. */
  private static long stamp(ByteBuffer file, int offset) {
    long value = file.getLong(offset);
    for (int at = offset; at < offset + SECTOR; at += Long.BYTES) {
      if (file.getLong(at) != value) {
        return -1;
      }
    }
    return value;
  }

  BlockHistory history() {
    return history;
  }

  private void run() {
    time.run(Duration.ZERO);
  }

  private static ByteBuf stamps(long value, int sectors) {
    ByteBuf data = Unpooled.buffer(sectors * SECTOR);
    while (data.readableBytes() < sectors * SECTOR) {
      data.writeLong(value);
    }
    return data;
  }

  private static void mustWork(IOException error) {
    if (error != null) {
      throw new AssertionError(error);
    }
  }

  /** One request of the guest. */
  private final class Request implements NbdSession.ReadReply {
    private final BlockHistory.Kind kind;
    private final int first;
    private final int count;
    private final long value;
    private final boolean fua;
    private final ByteBuf buffer = Unpooled.buffer();
    private final BlockHistory.Op op;

    Request(BlockHistory.Kind kind, int first, int count, long value, boolean fua) {
      this.kind = kind;
      this.first = first;
      this.count = count;
      this.value = value;
      this.fua = fua;
      this.op = history.invoke(kind, first, count, value, fua);
    }

    void send() {
      long offset = (long) first * SECTOR;
      long length = (long) count * SECTOR;
      switch (kind) {
        case READ -> session.read(offset, (int) length, this);
        case WRITE -> session.write(offset, stamps(value, count), fua, this);
        case ZERO -> session.writeZeroes(offset, length, true, false, fua, this);
        case TRIM -> session.trim(offset, length, fua, this);
        case FLUSH -> session.flush(this);
      }
    }

    @Override
    public ByteBuf buffer() {
      return buffer;
    }

    @Override
    public void success() {
      if (kind != BlockHistory.Kind.READ) {
        history.ok(op);
        return;
      }
      long[] seen = new long[count];
      for (int i = 0; i < count; i++) {
        seen[i] = stamp(buffer.nioBuffer(), i * SECTOR);
      }
      history.ok(op, seen);
    }

    @Override
    public void fail(NbdError error, String why) {
      throw new AssertionError(op + " failed: " + error + " " + why);
    }
  }
}
