// SPDX-License-Identifier: Apache-2.0
package io.vmferry.simulation;

import io.vmferry.relay.history.BlockHistory;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** One virtual disk as its guests see it, wherever they run: one content, one history. */
final class GuestDisk {
  static final int SECTOR = 512;

  private final String volume;
  private final String target;
  private final int sectors;
  private final BlockHistory history;

  /** Requests of all QEMUs that may yet be answered. */
  private final List<DiskRequest> open = new ArrayList<>();

  private long lastValue;

  /** How many requests that change content were answered, by QEMU. */
  private final Map<Qemu, Long> changes = new HashMap<>();

  GuestDisk(String volume, String target, int sectors) {
    this.volume = volume;
    this.target = target;
    this.sectors = sectors;
    this.history = new BlockHistory(new long[sectors]);
  }

  String volume() {
    return volume;
  }

  String target() {
    return target;
  }

  int sectors() {
    return sectors;
  }

  BlockHistory history() {
    return history;
  }

  long nextValue() {
    lastValue++;
    return lastValue;
  }

  /** Grows with each answered request of another QEMU that changes content. */
  long changesOfOthers(Qemu qemu) {
    return changes.entrySet().stream()
        .filter(entry -> entry.getKey() != qemu)
        .mapToLong(Map.Entry::getValue)
        .sum();
  }

  void changedBy(Qemu qemu) {
    changes.merge(qemu, 1L, Long::sum);
  }

  void opened(DiskRequest request) {
    open.add(request);
  }

  void closed(DiskRequest request) {
    open.remove(request);
  }

  /** A write that is sent again may be carried out twice, so no two of one sector at a time. */
  boolean busy(int sector) {
    return open.stream().anyMatch(request -> request.changes(sector));
  }

  /** The owner's host lost its power: what was not durable may be gone. */
  void powerLoss() {
    history.powerLoss();
    // Requests held at the other host are not affected: nothing of them was carried out.
    open.forEach(DiskRequest::askedAgain);
  }
}
