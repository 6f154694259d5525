// SPDX-License-Identifier: Apache-2.0
package io.vmferry.simulation;

import io.vmferry.api.AttachStandby;
import io.vmferry.api.PeerClients;
import io.vmferry.api.RelayStatus;
import io.vmferry.coordinator.migration.Relay;
import io.vmferry.relay.control.RelayApi;
import java.util.List;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import java.util.function.Function;

/** The relay of a host as one life of its agent steers it: the real control API, without HTTP. */
final class RelayOfHost implements Relay {
  private final Host host;
  private final Trace trace;
  private boolean dead;

  RelayOfHost(Host host, Trace trace) {
    this.host = host;
    this.trace = trace;
  }

  /** The agent has ended: what of it still runs in callbacks has no effect. */
  void kill() {
    dead = true;
  }

  private <T> CompletableFuture<T> ask(Function<RelayApi, CompletableFuture<T>> request) {
    return dead ? new CompletableFuture<>() : host.askRelay(request);
  }

  private CompletableFuture<Void> tell(
      String what, Function<RelayApi, CompletableFuture<Void>> request) {
    if (!dead) {
      trace.add("agent " + host.name() + " asks its relay to " + what);
    }
    return ask(request);
  }

  @Override
  public CompletableFuture<RelayStatus> status() {
    return ask(RelayApi::status);
  }

  @Override
  public CompletableFuture<List<PeerClients>> peerClients(String volume) {
    return ask(api -> api.peerClients(volume));
  }

  @Override
  public CompletableFuture<Void> attach(AttachStandby request) {
    return tell("attach", api -> api.attach(request));
  }

  @Override
  public CompletableFuture<Void> drop(UUID domain) {
    return tell("drop", api -> api.drop(domain.toString()));
  }

  @Override
  public CompletableFuture<Void> takeover(UUID domain) {
    return tell("take over", api -> api.takeover(domain.toString()));
  }

  @Override
  public CompletableFuture<Void> delete(String volume) {
    return tell("delete " + volume, api -> api.delete(volume));
  }
}
