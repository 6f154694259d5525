// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.volume;

import io.vmferry.api.VolumeStatus;
import io.vmferry.relay.exec.Loop;
import java.time.Duration;

/**
 * The time in which a replica lacks blocks that it can get: opens where they come from, makes
 * durable now and then what came, and ends when the last block is held. One that was released
 * before it had everything goes on. Loop only.
 */
final class FetchMode {
  /**
   * How long a fetched block may stay without durable bit; bounds what is fetched again after a
   * power loss.
   */
  private static final Duration BACKGROUND_FORCE = Duration.ofSeconds(2);

  private final VolumeEnvironment shared;
  private final LocalReplica replica;
  private final ParkedWork parked;
  private final Completion completion;

  private FetchedVolume fetched;

  /** The NBD server that missing blocks come from; null if none, or if none are missing. */
  private Sources.Source source;

  private FetchCounters counters;

  /** What the counters are about; stays when the origin is of no use any more. */
  private String lastOrigin;

  private Loop.Timer forceTimer;

  /**
   * For one replica, for all times that it is in fetch mode.
   *
   * @param parked gets what waits for blocks when the fetching is stopped
   * @param complete runs when the replica holds everything, durably
   */
  FetchMode(VolumeEnvironment shared, LocalReplica replica, ParkedWork parked, Runnable complete) {
    this.shared = shared;
    this.replica = replica;
    this.parked = parked;
    this.counters = new FetchCounters(shared.loop());
    this.completion =
        new Completion(
            shared,
            replica,
            new Completion.Host() {
              @Override
              public void complete(VolumeRecord record) {
                end(record);
              }

              @Override
              public void tell() {
                complete.run();
              }
            });
  }

  /** The replica took over: what is counted begins anew. */
  void takenOver() {
    counters = new FetchCounters(shared.loop());
  }

  /** Makes {@link #fetched} ready if blocks are missing and can be had; nothing is asked yet. */
  void prepare() {
    VolumeRecord record = replica.record();
    VolumeRecord.Origin origin = record.origin();
    if (origin != null) {
      lastOrigin = origin.node();
    }
    if (fetched != null || replica.held().isComplete()) {
      return;
    }
    if (origin != null) {
      String node = origin.node();
      fetched =
          new FetchedVolume(
              replica,
              shared.origin(node, record.uuid(), origin.epoch()),
              shared.lanes().apply(node),
              counters,
              shared.loop(),
              completion::look);
    } else if (record.source() != null) {
      if (source == null) {
        source = shared.sources().open(record, this::goOn);
      }
      fetched =
          new FetchedVolume(
              replica, source.blocks(), source.lane(), counters, shared.loop(), completion::look);
    }
  }

  /** Begins to fetch. */
  void start() {
    if (fetched != null) {
      forceLater();
      fetched.linkUp();
    }
    // The last block may have come while requests were parked, or in an earlier process.
    completion.look();
  }

  /** Nothing is fetched any more until {@link #prepare} and {@link #start}. */
  void stop() {
    if (fetched != null) {
      parked.later(fetched.stop());
      fetched = null;
    }
    if (forceTimer != null) {
      forceTimer.cancel();
      forceTimer = null;
    }
  }

  /** Nothing is asked for any more, ever. */
  void close() {
    stop();
    closeSource();
  }

  /** Fetches what is missing; null if nothing is, if it can't be had, or during a handover. */
  FetchedVolume fetched() {
    return fetched;
  }

  FetchCounters counters() {
    return counters;
  }

  /** The control connection to a peer is up again. */
  void linkUp(String node) {
    VolumeRecord.Origin origin = replica.record().origin();
    if (origin != null && origin.node().equals(node)) {
      goOn();
    }
  }

  /** A guest's write made blocks present. */
  void heldByGuest() {
    if (fetched != null) {
      fetched.heldByGuest();
    }
    completion.look();
  }

  private void goOn() {
    if (fetched != null) {
      fetched.linkUp();
    }
  }

  private void forceLater() {
    if (forceTimer == null) {
      forceTimer =
          shared
              .loop()
              .after(
                  BACKGROUND_FORCE,
                  () -> {
                    forceTimer = null;
                    // Without new blocks a force would only make the guest's writes wait.
                    if (replica.held().hasPending()) {
                      replica.durability().force(replica::brokenIfFailed);
                    }
                    if (fetched != null) {
                      forceLater();
                    }
                  });
    }
  }

  private void end(VolumeRecord complete) {
    replica.become(complete);
    close();
    replica.held().becomeComplete();
  }

  private void closeSource() {
    if (source != null) {
      source.close();
      source = null;
    }
  }

  /** What the control API shows; null if the replica never fetched. */
  VolumeStatus.FetchStatus status() {
    VolumeRecord record = replica.record();
    long missing = record.size() - replica.held().bytes();
    int waiting = fetched == null ? 0 : fetched.waiting();
    if (record.source() != null) {
      boolean up = source != null && source.blocks().up();
      return counters.status(record.source().uri(), up, missing, waiting);
    }
    return lastOrigin == null
        ? null
        : counters.status(lastOrigin, shared.links().apply(lastOrigin).up(), missing, waiting);
  }

  /** What keeps missing blocks from coming, for people; null if nothing does. */
  String waitingFor() {
    return fetched == null || replica.held().isFull() ? null : fetched.waitingFor();
  }
}
