// SPDX-License-Identifier: Apache-2.0
package io.vmferry.coordinator.hypervisor;

import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;

/**
 * The host's hypervisor. Reconnects by itself; while it is unreachable every call fails at once
 * with {@link HypervisorException}. Calls never block and may come from any thread. A future
 * completes on a thread of the hypervisor: go elsewhere before you do work. None of them may be
 * waited for inside a hook request, because libvirt may hold the domain until the hook is answered.
 */
public interface Hypervisor extends AutoCloseable {

  /** Called on a thread of the hypervisor; must return at once. */
  interface Listener {
    /** Connected, for the first time or again. Events before this call are lost. */
    void connected();

    /**
     * Connection lost.
     *
     * @param reason one sentence
     */
    void disconnected(String reason);

    void event(DomainEvent event);
  }

  /** Starts to connect. Call once, before anything else. */
  void start(Listener listener);

  /** Why the hypervisor cannot be asked, one sentence; null if it can. */
  String problem();

  /** All domains here that have vmferry disks, running or only defined. */
  CompletableFuture<List<DomainInfo>> domains();

  /** The domain, whether it has vmferry disks or not; empty if there is none. */
  CompletableFuture<Optional<DomainInfo>> domain(UUID domain);

  /** The domains with a QEMU here that have the volume as a disk, read anew at each call. */
  CompletableFuture<List<DomainInfo>> activeUsers(String volume);

  /** Whether a migration or another long job runs on the domain; false if there is no domain. */
  CompletableFuture<Boolean> jobActive(UUID domain);

  /** Target names of the disks that had an I/O error since the domain last ran. */
  CompletableFuture<Set<String>> diskErrors(UUID domain);

  /** Names the owner of the volumes in the metadata of an active domain. */
  CompletableFuture<Void> setOwner(UUID domain, String node);

  /**
   * Pauses a running domain. Its guest stands still at once, but the call may take very long: QEMU
   * ends it when the I/O that is under way is answered, and answers no other command until then.
   */
  CompletableFuture<Void> suspend(UUID domain);

  /** Lets a paused domain run. */
  CompletableFuture<Void> resume(UUID domain);

  /** Disconnects. Domains are not touched. */
  @Override
  void close();
}
