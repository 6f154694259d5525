// SPDX-License-Identifier: Apache-2.0
package io.vmferry.api;

import java.time.Instant;
import java.util.List;
import java.util.UUID;

/**
 * One replica as its relay sees it. All amounts are bytes unless the name says otherwise.
 *
 * @param name export name
 * @param uuid identity of the volume, the same on every node
 * @param size size of the virtual disk
 * @param state what the replica is here
 * @param epoch epoch of the last change of owner known here
 * @param domain UUID of the libvirt domain that the volume was attached for, or null
 * @param clients local NBD clients: connections, plus processes that lost theirs without DISC
 * @param allocated bytes that the data file takes on disk
 * @param present bytes held here and up to date
 * @param fetch the fetch mode that began with the last takeover here, also after it ended; null if
 *     this relay process knows of none
 * @param replicas what the owner keeps for other replicas
 * @param completeAt node that reported to be complete, so that this released replica may go; or
 *     null
 * @param completeSince when this node learned that, by its wall clock; null if {@code completeAt}
 *     is
 * @param waitingFor what the volume waits for, one sentence; null if nothing
 * @param failure why the volume is stopped (poisoned, broken state file); null if healthy
 */
public record VolumeStatus(
    String name,
    UUID uuid,
    long size,
    VolumeState state,
    Epoch epoch,
    UUID domain,
    int clients,
    long allocated,
    long present,
    FetchStatus fetch,
    List<ReplicaStatus> replicas,
    String completeAt,
    Instant completeSince,
    String waitingFor,
    String failure) {

  /**
   * Fetch mode.
   *
   * @param origin node that is read, or the URI of an NBD server
   * @param linkUp whether the origin is connected
   * @param demand bytes fetched because a guest waited for them, or was about to read them
   * @param background bytes fetched by the background copy
   * @param holes bytes never sent: holes or zeroes at the origin
   * @param overwritten bytes never sent: the guest wrote, zeroed or trimmed them first
   * @param wire bytes of data that travelled: less than demand and background where it was
   *     compressed, more where it came in vain
   * @param rate bytes per second over the last seconds, demand and background
   * @param etaSeconds until the last block is here, at this rate; null if unknown
   * @param waiting requests that wait for missing blocks now, of guests here or of peers that read
   *     through this replica
   */
  public record FetchStatus(
      String origin,
      boolean linkUp,
      long demand,
      long background,
      long holes,
      long overwritten,
      long wire,
      long rate,
      Long etaSeconds,
      int waiting) {

    /** What is read, as a sentence names it. */
    public String describeOrigin() {
      return origin.contains("://") ? origin : "node " + origin;
    }
  }

  /**
   * Another node's replica, as the owner keeps it.
   *
   * @param node where
   * @param stale bytes that replica lacks or has out of date
   */
  public record ReplicaStatus(String node, long stale) {}
}
