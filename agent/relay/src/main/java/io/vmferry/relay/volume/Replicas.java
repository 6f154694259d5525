// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.volume;

import io.vmferry.api.VolumeStatus;
import io.vmferry.relay.map.BlockGrid;
import io.vmferry.relay.map.BlockMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/**
 * The owner's stale maps: for every other replica, the blocks it lacks or has out of date. A guest
 * write marks its blocks here before it touches the data, so a crash in between errs to stale. Loop
 * only.
 */
final class Replicas {
  private final Map<String, BlockMap> staleByNode = new TreeMap<>();

  /** Keeps {@code stale} for the replica at {@code node}, instead of what was kept before. */
  void put(String node, BlockMap stale) {
    BlockMap before = staleByNode.put(node, stale);
    if (before != null) {
      before.close();
    }
  }

  void remove(String node) {
    BlockMap stale = staleByNode.remove(node);
    if (stale != null) {
      stale.close();
    }
  }

  void clear() {
    staleByNode.values().forEach(BlockMap::close);
    staleByNode.clear();
  }

  /** The stale map kept for a node's replica, or null. */
  BlockMap stale(String node) {
    return staleByNode.get(node);
  }

  /** The blocks are about to change. */
  void mark(long from, long to) {
    for (BlockMap stale : staleByNode.values()) {
      stale.set(from, to);
    }
  }

  /**
   * What the control API shows.
   *
   * @param size of the volume, in bytes; its last block may be a part of one
   */
  List<VolumeStatus.ReplicaStatus> status(long size) {
    return staleByNode.entrySet().stream()
        .map(
            each ->
                new VolumeStatus.ReplicaStatus(
                    each.getKey(), Math.min(each.getValue().cardinality() * BlockGrid.BLOCK, size)))
        .toList();
  }
}
