// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.volume;

import io.vmferry.api.Epoch;
import io.vmferry.relay.map.BlockMap;
import io.vmferry.relay.store.BlockFile;
import io.vmferry.relay.store.HeldJournal;
import java.io.IOException;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * Where a node keeps its replicas. Everything here blocks and is called on disk threads, one call
 * per volume at a time; injected, so that the simulator can have a disk that loses and fails.
 */
public interface VolumeStorage {

  /** What was found at start. Exactly one of {@code replica} and {@code failure} is set. */
  record Found(String name, Replica replica, String failure) {}

  /**
   * An opened replica.
   *
   * @param journal null unless the record says {@link VolumeRecord.Held#JOURNAL}
   * @param live map of held blocks that survives this process, null without journal
   * @param durable the blocks that the journal has, null without journal
   * @param stale what the owner keeps for other nodes' replicas
   * @param clients processes that had it open when the last relay process ended
   */
  record Replica(
      VolumeRecord record,
      BlockFile file,
      HeldJournal journal,
      BlockMap live,
      BlockMap durable,
      Map<String, BlockMap> stale,
      Set<LocalProcess> clients) {}

  /** A journal and the live map of the same blocks, for a replica that begins to fetch. */
  record HeldMaps(HeldJournal journal, BlockMap live) {}

  /** Opens all replicas. One that is broken is reported and left alone; the others are served. */
  List<Found> load() throws IOException;

  /**
   * Makes a new replica: an empty data file and the record, durable; and a journal that holds
   * nothing if the record says so.
   */
  BlockFile create(VolumeRecord record) throws IOException;

  /** Replaces the records of these replicas, durably, all or none. */
  void commit(List<VolumeRecord> records) throws IOException;

  /**
   * Makes the maps of a takeover durable. They count once the record of that epoch is committed.
   */
  HeldMaps beginFetching(VolumeRecord record, Epoch epoch, BlockMap held) throws IOException;

  /** The replica is complete: removes its journal and live map. */
  void endFetching(VolumeRecord record) throws IOException;

  /**
   * A stale map for another node's replica, that survives this process: with this epoch's content
   * if there is one, otherwise all clear if {@code fresh}, otherwise all stale.
   */
  BlockMap staleMap(VolumeRecord record, String node, boolean fresh) throws IOException;

  /**
   * Makes the replica as large as {@code grown} says and commits that record, durably; after a
   * crash it is either as before or grown. What is new reads as zeroes.
   *
   * @param before the record that counts now
   */
  void grow(VolumeRecord before, VolumeRecord grown) throws IOException;

  /** Removes the replica. */
  void delete(VolumeRecord record) throws IOException;

  /** Remembers the local clients where it survives this process. In memory only: never blocks. */
  void rememberClients(String name, Set<LocalProcess> clients);

  /** Bytes that may still be stored. */
  long freeBytes() throws IOException;

  /** Size in bytes of what the replicas are stored in. */
  long totalBytes() throws IOException;
}
