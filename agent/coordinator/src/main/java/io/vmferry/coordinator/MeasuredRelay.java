// SPDX-License-Identifier: Apache-2.0
package io.vmferry.coordinator;

import io.vmferry.api.AttachStandby;
import io.vmferry.api.PeerClients;
import io.vmferry.api.RelayStatus;
import io.vmferry.api.metrics.Histogram;
import io.vmferry.coordinator.migration.Relay;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import java.util.function.LongSupplier;

/**
 * Measures takeovers on their way to the relay: from the first time that one of a domain is asked
 * for until it is granted, however often it is asked for in between. Thread-safe.
 */
final class MeasuredRelay implements Relay {
  private final Relay relay;
  private final LongSupplier nanoTime;
  private final Histogram takeovers = new Histogram();
  private final Map<UUID, Long> since = new HashMap<>();

  MeasuredRelay(Relay relay, LongSupplier nanoTime) {
    this.relay = relay;
    this.nanoTime = nanoTime;
  }

  /** For another thread. */
  synchronized Histogram measured() {
    return takeovers.copy();
  }

  @Override
  public CompletableFuture<Void> takeover(UUID domain) {
    begin(domain);
    return relay
        .takeover(domain)
        .whenComplete(
            (done, failure) -> {
              if (failure == null) {
                granted(domain);
              }
            });
  }

  private synchronized void begin(UUID domain) {
    since.putIfAbsent(domain, nanoTime.getAsLong());
  }

  private synchronized void granted(UUID domain) {
    Long begun = since.remove(domain);
    if (begun != null) {
      takeovers.observe(nanoTime.getAsLong() - begun);
    }
  }

  private synchronized void forget(UUID domain) {
    since.remove(domain);
  }

  /** What was asked for before belongs to another move. */
  @Override
  public CompletableFuture<Void> attach(AttachStandby request) {
    forget(request.domain());
    return relay.attach(request);
  }

  @Override
  public CompletableFuture<Void> drop(UUID domain) {
    forget(domain);
    return relay.drop(domain);
  }

  @Override
  public CompletableFuture<RelayStatus> status() {
    return relay.status();
  }

  @Override
  public CompletableFuture<List<PeerClients>> peerClients(String volume) {
    return relay.peerClients(volume);
  }

  @Override
  public CompletableFuture<Void> delete(String volume) {
    return relay.delete(volume);
  }
}
