// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.sim;

import io.vmferry.api.Epoch;
import io.vmferry.relay.map.BlockGrid;
import io.vmferry.relay.map.BlockMap;
import io.vmferry.relay.map.HeapBlockMap;
import io.vmferry.relay.store.BlockFile;
import io.vmferry.relay.store.HeldJournal;
import io.vmferry.relay.store.LossModel;
import io.vmferry.relay.store.MemoryBlockFile;
import io.vmferry.relay.store.MemoryFileOps;
import io.vmferry.relay.volume.LocalProcess;
import io.vmferry.relay.volume.VolumeRecord;
import io.vmferry.relay.volume.VolumeStorage;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.random.RandomGenerator;

/** A node's disk and tmpfs: they outlive its process. */
public final class SimStorage implements VolumeStorage {
  private final Map<String, VolumeRecord> records = new TreeMap<>();
  private final Map<String, MemoryBlockFile> files = new HashMap<>();
  private final Map<String, MemoryFileOps> journals = new HashMap<>();
  private final Map<String, BlockMap> live = new HashMap<>();
  private final Map<String, BlockMap> stale = new HashMap<>();
  private final Map<String, Set<LocalProcess>> clients = new HashMap<>();
  private final Map<String, HeldJournal> open = new HashMap<>();
  private final RandomGenerator random;
  private VirtualTime.NodeLoop loop;
  private IOException commitFailure;
  private long free = Long.MAX_VALUE;

  /**
   * An empty disk.
   *
   * @param random how long its operations take; null for no time at all
   */
  public SimStorage(RandomGenerator random) {
    this.random = random;
  }

  /** The process that uses it from now on. */
  public void usedBy(VirtualTime.NodeLoop newLoop) {
    loop = newLoop;
    open.clear();
  }

  /** The host lost its power: what was not forced may be gone, and so is all of tmpfs. */
  void powerLoss() {
    LossModel.Fate[] fates = LossModel.Fate.values();
    files.values().forEach(file -> file.crash(change -> fates[random.nextInt(fates.length)]));
    journals.values().forEach(ops -> ops.crash(change -> fates[random.nextInt(fates.length)]));
    open.clear();
    live.clear();
    stale.clear();
    clients.clear();
  }

  /** The data file of a volume. */
  public MemoryBlockFile file(String name) {
    return files.get(name);
  }

  /** The next commit fails and changes nothing. */
  public void failNextCommit(IOException failure) {
    commitFailure = failure;
  }

  /** How much room there is from now on, whatever is stored. */
  public void setFreeBytes(long bytes) {
    free = bytes;
  }

  public VolumeRecord record(String name) {
    return records.get(name);
  }

  @Override
  public List<Found> load() throws IOException {
    List<Found> found = new ArrayList<>();
    for (VolumeRecord record : records.values()) {
      found.add(new Found(record.name(), open(record), null));
    }
    return found;
  }

  private Replica open(VolumeRecord record) throws IOException {
    String name = record.name();
    Map<String, BlockMap> staleMaps = new TreeMap<>();
    for (String node : record.replicas()) {
      staleMaps.put(node, staleMap(record, node, false));
    }
    Set<LocalProcess> left = clients.getOrDefault(name, Set.of());
    BlockFile file = slow(name);
    if (record.held() != VolumeRecord.Held.JOURNAL) {
      return new Replica(record, file, null, null, null, staleMaps, left);
    }
    long blocks = new BlockGrid(record.size()).blocks();
    HeldJournal journal =
        HeldJournal.open(journals.get(name), Path.of("/" + name), record.uuid(), blocks)
            .orElseThrow();
    open.put(name, journal);
    BlockMap map = live.computeIfAbsent(name, key -> HeapBlockMap.copyOf(journal.held()));
    return new Replica(record, file, journal, map, journal.held(), staleMaps, left);
  }

  private BlockFile slow(String name) {
    if (random == null) {
      return files.get(name);
    }
    return new SlowFile(files.get(name), loop, random);
  }

  @Override
  public BlockFile create(VolumeRecord record) {
    files.put(record.name(), new MemoryBlockFile((int) record.size()));
    records.put(record.name(), record);
    return slow(record.name());
  }

  @Override
  public void commit(List<VolumeRecord> changed) throws IOException {
    if (commitFailure != null) {
      IOException failure = commitFailure;
      commitFailure = null;
      throw failure;
    }
    changed.forEach(record -> records.replace(record.name(), record));
  }

  @Override
  public void grow(VolumeRecord before, VolumeRecord grown) throws IOException {
    commit(List.of(grown));
  }

  @Override
  public long totalBytes() {
    return free;
  }

  @Override
  public HeldMaps beginFetching(VolumeRecord record, Epoch epoch, BlockMap held)
      throws IOException {
    String name = record.name();
    Path directory = Path.of("/" + name);
    HeldJournal journal = open.get(name);
    if (journal == null) {
      MemoryFileOps ops = journals.computeIfAbsent(name, key -> new MemoryFileOps());
      journal = HeldJournal.open(ops, directory, record.uuid(), held.blocks()).orElse(null);
      if (journal == null) {
        journal = HeldJournal.create(ops, directory, record.uuid(), epoch, held);
      } else {
        journal.reset(epoch, held);
      }
      open.put(name, journal);
    } else {
      journal.reset(epoch, held);
    }
    BlockMap map = HeapBlockMap.copyOf(held);
    live.put(name, map);
    return new HeldMaps(journal, map);
  }

  @Override
  public void endFetching(VolumeRecord record) throws IOException {
    HeldJournal journal = open.remove(record.name());
    if (journal != null) {
      journal.delete();
    }
    live.remove(record.name());
  }

  @Override
  public BlockMap staleMap(VolumeRecord record, String node, boolean fresh) {
    String key = record.name() + "/" + node + "/" + record.epoch();
    long blocks = new BlockGrid(record.size()).blocks();
    return fresh
        ? stale.compute(key, (k, old) -> HeapBlockMap.allClear(blocks))
        : stale.computeIfAbsent(key, k -> HeapBlockMap.allSet(blocks));
  }

  @Override
  public void delete(VolumeRecord record) {
    String name = record.name();
    records.remove(name);
    files.remove(name);
    journals.remove(name);
    live.remove(name);
    open.remove(name);
  }

  @Override
  public void rememberClients(String name, Set<LocalProcess> who) {
    clients.put(name, who);
  }

  @Override
  public long freeBytes() {
    return free;
  }
}
