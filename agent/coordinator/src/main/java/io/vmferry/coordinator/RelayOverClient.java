// SPDX-License-Identifier: Apache-2.0
package io.vmferry.coordinator;

import io.vmferry.api.AttachStandby;
import io.vmferry.api.PeerClients;
import io.vmferry.api.RelayClient;
import io.vmferry.api.RelayStatus;
import io.vmferry.coordinator.migration.Relay;
import java.util.List;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;

/** The relay over relay.sock. */
final class RelayOverClient implements Relay {
  private final RelayClient client;

  RelayOverClient(RelayClient client) {
    this.client = client;
  }

  @Override
  public CompletableFuture<RelayStatus> status() {
    return client.status();
  }

  @Override
  public CompletableFuture<List<PeerClients>> peerClients(String volume) {
    return client.peerClients(volume);
  }

  @Override
  public CompletableFuture<Void> attach(AttachStandby request) {
    return client.attachStandby(request);
  }

  @Override
  public CompletableFuture<Void> drop(UUID domain) {
    return client.detachStandby(domain);
  }

  @Override
  public CompletableFuture<Void> takeover(UUID domain) {
    return client.takeover(domain);
  }

  @Override
  public CompletableFuture<Void> delete(String volume) {
    return client.deleteVolume(volume);
  }
}
