// SPDX-License-Identifier: Apache-2.0
package io.vmferry.coordinator.migration;

import io.vmferry.api.AttachStandby;
import io.vmferry.api.PeerClients;
import io.vmferry.api.RelayStatus;
import java.util.List;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;

/**
 * The relay of this host, as the agent steers it. Every future fails with {@link
 * io.vmferry.api.ProblemException}; UNAVAILABLE means that no relay answers.
 */
public interface Relay {
  CompletableFuture<RelayStatus> status();

  /** Who has a volume of this node open at its peers, one answer per peer. */
  CompletableFuture<List<PeerClients>> peerClients(String volume);

  /** Attaches STANDBY replicas of all volumes or of none; idempotent. */
  CompletableFuture<Void> attach(AttachStandby request);

  /** Drops the STANDBY replicas of a domain, never one in another state; idempotent. */
  CompletableFuture<Void> drop(UUID domain);

  /** Takes over all STANDBY volumes of a domain; done when they are owned here; idempotent. */
  CompletableFuture<Void> takeover(UUID domain);

  /** Deletes a replica that may go. */
  CompletableFuture<Void> delete(String volume);
}
