// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.volume;

import io.vmferry.api.VolumeStatus;
import io.vmferry.relay.map.BlockGrid;
import io.vmferry.relay.map.BlockMap;
import io.vmferry.relay.map.HeapBlockMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.UUID;

/**
 * The owner's stale maps: for every other replica, the blocks it lacks or has out of date. A guest
 * write marks its blocks here before it touches the data, so a crash in between errs to stale. Loop
 * only.
 */
public final class Replicas {
  private final Map<String, BlockMap> staleByNode = new TreeMap<>();

  /** The same maps, for the way of each write: to go through a TreeMap allocates. */
  private BlockMap[] all = {};

  /** Sessions of standbys that copy before the handover; their maps are above, in memory only. */
  private final Map<String, Long> preCopies = new TreeMap<>();

  /** Keeps {@code stale} for the replica at {@code node}, instead of what was kept before. */
  void put(String node, BlockMap stale) {
    preCopies.remove(node);
    BlockMap before = staleByNode.put(node, stale);
    changed();
    if (before != null) {
      before.close();
    }
  }

  /** Nothing counts any more of the replica at that node. */
  public void remove(String node) {
    preCopies.remove(node);
    BlockMap stale = staleByNode.remove(node);
    changed();
    if (stale != null) {
      stale.close();
    }
  }

  void clear() {
    preCopies.clear();
    staleByNode.values().forEach(BlockMap::close);
    staleByNode.clear();
    changed();
  }

  private void changed() {
    all = staleByNode.values().toArray(BlockMap[]::new);
  }

  /** The stale map kept for a node's replica, or null. */
  public BlockMap stale(String node) {
    return staleByNode.get(node);
  }

  /**
   * A standby without a copy of its own begins to copy. What it asked in an earlier session and is
   * carried out late counts no more: it would clear bits for what never arrives.
   *
   * @param continues session whose map goes on if it is the node's last one; else all is stale
   * @param blocks of the volume
   * @return the new session, never 0
   */
  public long beginPreCopy(String node, long continues, long blocks) {
    if (!isPreCopying(node, continues)) {
      put(node, HeapBlockMap.allSet(blocks));
    }
    // By chance, so that no session of this process is one of the process before it.
    long session = UUID.randomUUID().getMostSignificantBits();
    preCopies.put(node, session);
    return session;
  }

  /** Whether that is the node's present session. */
  public boolean isPreCopying(String node, long session) {
    Long current = preCopies.get(node);
    return current != null && current == session;
  }

  /**
   * These blocks are about to be read for a standby that copies in a session. Those that are being
   * written stay stale: what is read of them is neither the old nor the new content. A write that
   * begins later marks its blocks again.
   */
  void send(String node, long from, long to, InFlight inFlight) {
    BlockMap stale = staleByNode.get(node);
    for (long block = from; block < to; ) {
      long free = inFlight.busyUntil(block);
      if (free > block) {
        block = free;
        continue;
      }
      long end = inFlight.nextBusy(block, to);
      stale.clear(block, end);
      block = end;
    }
  }

  /** The blocks are about to change. */
  void mark(long from, long to) {
    for (BlockMap stale : all) {
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
