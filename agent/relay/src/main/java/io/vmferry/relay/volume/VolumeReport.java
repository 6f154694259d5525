// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.volume;

import io.vmferry.api.VolumeState;
import io.vmferry.api.VolumeStatus;
import java.time.Duration;
import java.util.function.Supplier;

/** What people are told of a volume: its status, and what its guest waits for. Loop only. */
final class VolumeReport {
  /** A request of a healthy disk takes milliseconds; a busy one may take a second. */
  private static final Duration SLOW_DISK = Duration.ofSeconds(3);

  private final LocalReplica replica;
  private final LocalClients clients;
  private final Replicas replicas;
  private final FetchMode fetchMode;
  private final ParkedWork parked;
  private final OpenRequests openRequests;
  private final Supplier<String> standbyWaitsFor;
  private String trouble;

  /**
   * For one volume.
   *
   * @param standbyWaitsFor what keeps a standby's reads from being answered; null if nothing does
   */
  VolumeReport(
      LocalReplica replica,
      LocalClients clients,
      Replicas replicas,
      FetchMode fetchMode,
      ParkedWork parked,
      OpenRequests openRequests,
      Supplier<String> standbyWaitsFor) {
    this.replica = replica;
    this.clients = clients;
    this.replicas = replicas;
    this.fetchMode = fetchMode;
    this.parked = parked;
    this.openRequests = openRequests;
    this.standbyWaitsFor = standbyWaitsFor;
  }

  String trouble() {
    return trouble;
  }

  void setTrouble(String newTrouble) {
    trouble = newTrouble;
  }

  VolumeStatus status() {
    VolumeRecord record = replica.record();
    return new VolumeStatus(
        record.name(),
        record.uuid(),
        record.size(),
        record.state(),
        record.epoch(),
        record.domain(),
        clients.count(),
        replica.file().allocated(),
        replica.held().bytes(),
        fetchMode.status(),
        replicas.status(record.size()),
        record.completeAt(),
        record.completeSince(),
        waitingFor(),
        replica.failure());
  }

  /** The first of all reasons to wait that a person could do something about. */
  private String waitingFor() {
    VolumeRecord record = replica.record();
    if (trouble != null) {
      return trouble;
    }
    if (replica.isForked()) {
      return record.forkSentence();
    }
    String network = fetchMode.waitingFor();
    if (network != null) {
      return network;
    }
    boolean serves = replica.isOwner() && !replica.isParked();
    String slow = serves ? openRequests.olderThan(SLOW_DISK) : null;
    if (slow != null) {
      FetchedVolume fetched = fetchMode.fetched();
      return slow
          + "; check the disk of this node"
          + (fetched == null ? "" : " and that of " + fetched.source());
    }
    if (record.state() == VolumeState.RELEASED && parked.hasRequests()) {
      return "the volume is owned by node " + record.epoch().owner() + "; I/O here is held";
    }
    return standbyWaitsFor.get();
  }
}
