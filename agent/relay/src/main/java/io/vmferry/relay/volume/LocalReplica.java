// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.volume;

import io.vmferry.api.VolumeState;
import io.vmferry.relay.exec.DiskTasks;
import io.vmferry.relay.map.BlockGrid;
import io.vmferry.relay.map.BlockMap;
import io.vmferry.relay.map.HeatMap;
import io.vmferry.relay.store.BlockFile;
import io.vmferry.relay.store.HeldJournal;
import java.io.IOException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * What this node has of one volume: the record that counts, the data file, which blocks of it are
 * held and how that becomes durable, and whether anything may be done with it now. Everything that
 * works on the volume looks here for these facts; its {@link Volume} changes them. Loop only.
 *
 * <p>Grid, held blocks and durability are replaced at a takeover and when the volume grows: only
 * while it is {@link #park parked} and nothing is in flight.
 */
final class LocalReplica {
  private static final Logger log = LoggerFactory.getLogger(LocalReplica.class);

  /** Who works with it. */
  interface Listener {
    /** It gets another state or epoch, which is durable; {@code what} says from what to what. */
    void changes(String what);

    /** It can't be used any more. Told once, when {@link #failure} says why. */
    void broken();
  }

  private final BlockFile file;
  private final DiskTasks tasks;
  private final Listener listener;
  private final InFlight inFlight = new InFlight();

  private VolumeRecord record;
  private BlockGrid grid;
  private HeatMap heat;
  private HeldBlocks held;
  private Durability durability;
  private boolean parked;
  private long unparked;
  private String failure;

  LocalReplica(VolumeStorage.Replica opened, DiskTasks tasks, Listener listener) {
    this.file = opened.file();
    this.tasks = tasks;
    this.listener = listener;
    this.record = opened.record();
    this.grid = new BlockGrid(record.size());
    this.heat = new HeatMap(record.size());
    switch (record.held()) {
      case ALL -> use(HeldBlocks.all(grid), null);
      case NONE -> use(HeldBlocks.none(grid), null);
      case JOURNAL ->
          use(HeldBlocks.tracked(grid, opened.live(), opened.durable()), opened.journal());
    }
  }

  private void use(HeldBlocks newHeld, HeldJournal journal) {
    held = newHeld;
    durability = new Durability(file, newHeld, journal, tasks);
  }

  // ---- facts

  VolumeRecord record() {
    return record;
  }

  /** Whether it is the one replica that takes guest writes. */
  boolean isOwner() {
    return record.state() == VolumeState.SERVING || record.state() == VolumeState.FETCHING;
  }

  /** Whether another node owns the volume too. */
  boolean isForked() {
    return record.state() == VolumeState.FORKED;
  }

  BlockFile file() {
    return file;
  }

  BlockGrid grid() {
    return grid;
  }

  HeldBlocks held() {
    return held;
  }

  /** What the guest used last here. */
  HeatMap heat() {
    return heat;
  }

  /** The operations on the file that are under way, all but peers' reads. */
  InFlight inFlight() {
    return inFlight;
  }

  Durability durability() {
    return durability;
  }

  // ---- changes

  /** The record has changed, durably; what the replica holds hasn't. */
  void become(VolumeRecord newRecord) {
    if (newRecord.state() != record.state() || !newRecord.epoch().equals(record.epoch())) {
      String what =
          record.state()
              + " "
              + record.epoch()
              + " -> "
              + newRecord.state()
              + " "
              + newRecord.epoch();
      VolumeLog.about(log.atInfo(), newRecord).log("volume {}: {}", newRecord.name(), what);
      listener.changes(what);
    }
    record = newRecord;
  }

  /** Only facts beside the state changed: replicas, domain, complete at. */
  void note(VolumeRecord newRecord) {
    record = newRecord;
  }

  /**
   * It took over, durably.
   *
   * @param live the blocks it holds, as the journal has them
   */
  void takeOver(VolumeRecord newRecord, HeldJournal journal, BlockMap live) {
    if (!parked) {
      throw new IllegalStateException(
          "volume " + record.name() + " was taken over while its maps are in use");
    }
    become(newRecord);
    held.close();
    use(HeldBlocks.tracked(grid, live, live), journal);
  }

  /** It is larger, durably, and complete. */
  void grow(VolumeRecord newRecord) {
    if (!parked || record.held() != VolumeRecord.Held.ALL) {
      throw new IllegalStateException("volume " + record.name() + " grows while it is in use");
    }
    log.info("volume {}: {} bytes -> {} bytes", record.name(), record.size(), newRecord.size());
    record = newRecord;
    grid = new BlockGrid(newRecord.size());
    heat = new HeatMap(newRecord.size());
    file.grown(newRecord.size());
    held.close();
    use(HeldBlocks.all(grid), null);
  }

  /** Closes its files; nothing may be in flight. */
  void close() {
    held.close();
    file.close();
  }

  // ---- whether it may be used

  /** A handover begins: nothing that changes the content may begin any more. */
  void park() {
    parked = true;
  }

  void unpark() {
    unparked++;
    parked = false;
  }

  /** How often that was done. */
  long unparked() {
    return unparked;
  }

  boolean isParked() {
    return parked;
  }

  /** Why it can't be used any more, for people; null if it can. */
  String failure() {
    return failure;
  }

  /** Whether a handover or a failure keeps anything new from beginning. */
  boolean isStopped() {
    return parked || failure != null;
  }

  /** It is not to be used any more. */
  void stop(String why) {
    failure = why;
  }

  /** The file or its journal failed: nothing that was written since is known to be safe. */
  void broken(IOException error) {
    if (failure == null) {
      failure =
          "volume "
              + record.name()
              + " is stopped: "
              + error.getMessage()
              + "; check the disk, then restart the relay";
      VolumeLog.about(log.atError(), record).log("{}", failure);
      listener.broken();
    }
  }

  /** No space is no damage: it is tried again. */
  void brokenIfFailed(IOException error) {
    if (error != null && DiskTrouble.of(error) == DiskTrouble.BROKEN) {
      broken(error);
    }
  }
}
