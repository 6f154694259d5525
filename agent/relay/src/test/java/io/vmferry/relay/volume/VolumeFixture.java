// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.volume;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.Unpooled;
import io.vmferry.api.Epoch;
import io.vmferry.config.PreCopyMode;
import io.vmferry.nbd.NbdClient;
import io.vmferry.nbd.NbdExportException;
import io.vmferry.nbd.NbdSession;
import io.vmferry.relay.copy.BulkLane;
import io.vmferry.relay.copy.FakeLink;
import io.vmferry.relay.copy.RateLimit;
import io.vmferry.relay.exec.DiskTasks;
import io.vmferry.relay.exec.RequestCount;
import io.vmferry.relay.map.BlockGrid;
import io.vmferry.relay.map.BlockMap;
import io.vmferry.relay.map.HeapBlockMap;
import io.vmferry.relay.sim.SimStorage;
import io.vmferry.relay.sim.VirtualTime;
import io.vmferry.relay.store.MemoryBlockFile;
import java.io.IOException;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.UUID;

/** Volumes of node "b", in virtual time, with files that take none and peers played by the test. */
final class VolumeFixture {
  static final int BLOCK = BlockGrid.BLOCK;
  static final UUID VOLUME = new UUID(3, 4);
  static final String NAME = "vol";

  final VirtualTime time = new VirtualTime();
  final VirtualTime.NodeLoop loop = time.new NodeLoop();
  final SimStorage storage;
  final FakeLink peer = new FakeLink("a");
  final List<String> events = new ArrayList<>();
  final DiskTasks tasks = new DiskTasks(loop, loop);
  final RateLimit limit = new RateLimit(null, 0);
  final BulkLane lane = new BulkLane(loop, peer::roundTrip, limit);
  final FakeSource source = new FakeSource(peer, lane, loop);
  final Volumes volumes;

  VolumeFixture() {
    this(new SimStorage(null));
  }

  private VolumeFixture(SimStorage storage) {
    this.storage = storage;
    storage.usedBy(loop);
    volumes =
        new Volumes(
            "b",
            new VolumeEnvironment(
                loop,
                new RequestCount(),
                tasks,
                storage,
                new Commits(tasks),
                pid -> Optional.of(new LocalProcess(pid, 1)),
                time::instant,
                node -> peer,
                node -> lane,
                source,
                () -> PreCopyMode.NONE,
                new Recorder()));
  }

  /** A volume owned here, complete. */
  Volume serving(long size) {
    return add(VolumeRecord.created(NAME, VOLUME, size, "b"));
  }

  /** A new standby of a volume owned by node "a" in epoch 1. */
  Volume standby(long size) {
    return add(VolumeRecord.standby(NAME, VOLUME, size, new Epoch(1, "a"), null));
  }

  /** A new volume whose content is at the {@link #source}. */
  Volume fromServer(long size) {
    return add(
        VolumeRecord.fetched(
            NAME, VOLUME, size, "b", new VolumeRecord.Source(FakeSource.URI, null)));
  }

  /** A volume that took over from "a" and holds {@code held} blocks of zeroes from the start. */
  Volume fetching(long size, long held) throws IOException {
    Volume volume = standby(size);
    takeOver(volume, held);
    run();
    return volume;
  }

  void takeOver(Volume volume, long held) throws IOException {
    BlockMap map = HeapBlockMap.allClear(volume.grid().blocks());
    map.set(0, held);
    VolumeRecord record = volume.record().takenOver(new Epoch(2, "b"), "a");
    VolumeStorage.HeldMaps maps = storage.beginFetching(record, record.epoch(), map);
    storage.commit(List.of(record));
    volume.quiesce(error -> {});
    run();
    volume.takeOver(record, maps.journal(), maps.live(), "a", storage.staleMap(record, "a", true));
  }

  Volume add(VolumeRecord record) {
    var unused = volumes.add(record);
    run();
    return volumes.byName(record.name());
  }

  /** The relay is killed and started again on the same disk and tmpfs. */
  VolumeFixture restarted() throws IOException {
    VolumeFixture next = new VolumeFixture(storage);
    next.volumes.start(storage.load());
    return next;
  }

  MemoryBlockFile file() {
    return storage.file(NAME);
  }

  void run() {
    time.run(Duration.ofMillis(1));
  }

  void run(Duration duration) {
    time.run(duration);
  }

  static NbdSession open(Volume volume, int pid) {
    try {
      return volume.open(new NbdClient(pid, pid, 0));
    } catch (NbdExportException e) {
      throw new AssertionError(e);
    }
  }

  /** The handover at an owner: the volume belongs to {@code to} now. */
  void release(Volume volume, String to) throws IOException {
    VolumeRecord released =
        volume.record().released(volume.record().epoch().next(to), Instant.EPOCH);
    storage.commit(List.of(released));
    volume.become(released);
  }

  static RecordedReply read(NbdSession session, long offset, int length) {
    RecordedReply reply = new RecordedReply();
    session.read(offset, length, reply);
    return reply;
  }

  static RecordedReply write(NbdSession session, long offset, ByteBuf data) {
    RecordedReply reply = new RecordedReply();
    session.write(offset, data, false, reply);
    return reply;
  }

  static RecordedReply flush(NbdSession session) {
    RecordedReply reply = new RecordedReply();
    session.flush(reply);
    return reply;
  }

  /** Gets one entry when the volume is quiet; null if all is durable. */
  static List<IOException> quiesce(Volume volume) {
    List<IOException> done = new ArrayList<>();
    volume.quiesce(done::add);
    return done;
  }

  static ByteBuf filled(int length, int value) {
    ByteBuf data = Unpooled.buffer(length);
    for (int i = 0; i < length; i++) {
      data.writeByte(value);
    }
    return data;
  }

  static byte[] bytes(int length, int value) {
    byte[] bytes = new byte[length];
    Arrays.fill(bytes, (byte) value);
    return bytes;
  }

  private final class Recorder implements Volume.Events {
    @Override
    public void takeoverWanted(Volume volume) {
      events.add("takeover wanted");
    }

    @Override
    public void complete(Volume volume) {
      events.add("complete");
    }

    @Override
    public void clientsChanged(Volume volume) {
      events.add("clients " + volume.clients());
    }

    @Override
    public void changed(Volume volume, String what) {
      events.add(what);
    }
  }
}
