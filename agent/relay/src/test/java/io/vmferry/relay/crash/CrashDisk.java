// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.crash;

import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.datatype.jsr310.JavaTimeModule;
import io.vmferry.api.Epoch;
import io.vmferry.relay.map.BlockGrid;
import io.vmferry.relay.map.BlockMap;
import io.vmferry.relay.map.HeapBlockMap;
import io.vmferry.relay.store.BlockFile;
import io.vmferry.relay.store.DurableFile;
import io.vmferry.relay.store.HeldJournal;
import io.vmferry.relay.store.ImageHash;
import io.vmferry.relay.store.LossModel;
import io.vmferry.relay.store.MemoryBlockFile;
import io.vmferry.relay.store.MemoryFileOps;
import io.vmferry.relay.volume.LocalProcess;
import io.vmferry.relay.volume.VolumeRecord;
import io.vmferry.relay.volume.VolumeStorage;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/**
 * The disk and tmpfs of one node with one volume: the real durable files on file operations that
 * keep only what was forced. It can be copied at any moment, which is how a crash is tried without
 * ending the run.
 */
final class CrashDisk implements VolumeStorage {
  static final Path DIRECTORY = Path.of("/volumes/vol");
  static final Path STATE = DIRECTORY.resolve("volume.state");
  private static final int MAX_STATE_BYTES = 1 << 16;
  private static final JsonMapper JSON =
      JsonMapper.builder().addModule(new JavaTimeModule()).build();

  private final MemoryFileOps ops;
  private MemoryBlockFile file;

  /** In tmpfs: lost with the host, not with the process. */
  private HeapBlockMap live;

  private Epoch liveEpoch;

  private HeldJournal journal;
  private DurableFile stateFile;
  private Runnable watcher = () -> {};

  CrashDisk() {
    ops = new MemoryFileOps();
  }

  /** As the other is now; no process uses it. */
  CrashDisk(CrashDisk other) {
    ops = new MemoryFileOps(other.ops);
    file = new MemoryBlockFile(other.file);
    live = other.live == null ? null : HeapBlockMap.copyOf(other.live);
    liveEpoch = other.liveEpoch;
  }

  /** Calls {@code newWatcher} before each primitive operation on disk or tmpfs. */
  void watch(Runnable newWatcher) {
    watcher = newWatcher;
    ops.watch(newWatcher);
    if (file != null) {
      file.watch(newWatcher);
    }
  }

  MemoryBlockFile file() {
    return file;
  }

  MemoryFileOps ops() {
    return ops;
  }

  /** Changes that a power loss might undo. */
  int unforced() {
    return file.unforced() + ops.unforced();
  }

  /** The relay is killed: nothing is lost but what was in its memory. */
  void kill() {
    journal = null;
    stateFile = null;
    file.flow();
  }

  /** The host loses its power. The model counts the data file's changes first. */
  void losePower(LossModel loss) {
    int dataChanges = file.unforced();
    file.crash(loss);
    ops.crash(index -> loss.fate(dataChanges + index));
    live = null;
    journal = null;
    stateFile = null;
  }

  /** A fingerprint of all that the next process could find: equal ones behave alike. */
  long image() {
    long hash = ImageHash.mix(file.image(), ops.image());
    if (live != null) {
      hash = ImageHash.mix(hash, liveEpoch.hashCode());
      for (long block = 0; block < live.blocks(); block++) {
        hash = ImageHash.mix(hash, live.get(block) ? 1 : 2);
      }
    }
    return hash;
  }

  @Override
  public List<Found> load() throws IOException {
    stateFile = new DurableFile(ops, STATE, "volume", MAX_STATE_BYTES);
    Optional<DurableFile.Content> content = stateFile.read();
    if (content.isEmpty()) {
      return List.of();
    }
    VolumeRecord record = JSON.readValue(content.get().payload(), VolumeRecord.class);
    if (record.held() != VolumeRecord.Held.JOURNAL) {
      return List.of(
          new Found(
              record.name(),
              new Replica(record, file, null, null, null, Map.of(), Set.of()),
              null));
    }
    journal =
        HeldJournal.open(ops, DIRECTORY, record.uuid(), new BlockGrid(record.size()).blocks())
            .orElseThrow(() -> new IOException("the journal of held blocks is missing"));
    HeapBlockMap durable = journal.held();
    if (live == null || !journal.epoch().equals(liveEpoch)) {
      watcher.run();
      live = HeapBlockMap.copyOf(durable);
      liveEpoch = journal.epoch();
    }
    return List.of(
        new Found(
            record.name(),
            new Replica(record, file, journal, new WatchedMap(live), durable, Map.of(), Set.of()),
            null));
  }

  @Override
  public BlockFile create(VolumeRecord record) throws IOException {
    file = new MemoryBlockFile((int) record.size());
    file.watch(watcher);
    stateFile = new DurableFile(ops, STATE, "volume", MAX_STATE_BYTES);
    commit(List.of(record));
    return file;
  }

  @Override
  public void commit(List<VolumeRecord> records) throws IOException {
    for (VolumeRecord record : records) {
      stateFile.write(
          new DurableFile.Content(record.uuid(), record.epoch(), JSON.writeValueAsBytes(record)));
    }
  }

  @Override
  public void grow(VolumeRecord before, VolumeRecord grown) throws IOException {
    commit(List.of(grown));
  }

  @Override
  public long totalBytes() {
    return Long.MAX_VALUE;
  }

  @Override
  public HeldMaps beginFetching(VolumeRecord record, Epoch epoch, BlockMap held)
      throws IOException {
    if (journal == null) {
      journal = HeldJournal.open(ops, DIRECTORY, record.uuid(), held.blocks()).orElse(null);
    }
    if (journal == null) {
      journal = HeldJournal.create(ops, DIRECTORY, record.uuid(), epoch, held);
    } else {
      journal.reset(epoch, held);
    }
    watcher.run();
    live = HeapBlockMap.copyOf(held);
    liveEpoch = epoch;
    return new HeldMaps(journal, new WatchedMap(live));
  }

  @Override
  public void endFetching(VolumeRecord record) throws IOException {
    journal.delete();
    journal = null;
    watcher.run();
    live = null;
  }

  @Override
  public BlockMap staleMap(VolumeRecord record, String node, boolean fresh) {
    long blocks = new BlockGrid(record.size()).blocks();
    return fresh ? HeapBlockMap.allClear(blocks) : HeapBlockMap.allSet(blocks);
  }

  @Override
  public void delete(VolumeRecord record) {
    throw new UnsupportedOperationException("nothing is deleted here");
  }

  @Override
  public void rememberClients(String name, Set<LocalProcess> clients) {
    // No second process of this volume asks for them.
  }

  @Override
  public long freeBytes() {
    return Long.MAX_VALUE;
  }

  /** A map in tmpfs: each change of it is a primitive operation too. */
  private final class WatchedMap implements BlockMap {
    private final HeapBlockMap map;

    WatchedMap(HeapBlockMap map) {
      this.map = map;
    }

    @Override
    public long blocks() {
      return map.blocks();
    }

    @Override
    public boolean get(long block) {
      return map.get(block);
    }

    @Override
    public long set(long from, long to) {
      watcher.run();
      return map.set(from, to);
    }

    @Override
    public long clear(long from, long to) {
      watcher.run();
      return map.clear(from, to);
    }

    @Override
    public long cardinality() {
      return map.cardinality();
    }

    @Override
    public long nextSet(long from) {
      return map.nextSet(from);
    }

    @Override
    public long nextClear(long from) {
      return map.nextClear(from);
    }

    @Override
    public long count(long from, long to) {
      return map.count(from, to);
    }

    @Override
    public void close() {
      // tmpfs outlives the process.
    }
  }
}
