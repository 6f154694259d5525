// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.handover;

import io.vmferry.relay.peer.PeerLink;
import io.vmferry.relay.peer.RoundTrip;
import io.vmferry.relay.peer.wire.Frame;
import io.vmferry.relay.peer.wire.Role;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.Executor;

/**
 * The way to a node, for as long as the relay runs: whoever fetches from that node keeps it, while
 * the link behind it comes, goes and changes with the configuration. Thread-safe.
 */
final class PeerWay implements PeerLink {
  private record Listener(Executor executor, Runnable action) {}

  private final String node;
  private final List<Listener> listeners = new CopyOnWriteArrayList<>();
  private volatile PeerLink link;

  /** To a node that is not configured. */
  PeerWay(String node) {
    this.node = node;
    this.link = new UnknownPeer(node);
  }

  /** From now on over this link; who listens to this way also listens to that link. */
  void over(PeerLink newLink) {
    link = newLink;
    listeners.forEach(listener -> newLink.onUp(listener.executor(), listener.action()));
  }

  @Override
  public String node() {
    return node;
  }

  @Override
  public String address() {
    return link.address();
  }

  @Override
  public boolean up() {
    return link.up();
  }

  @Override
  public RoundTrip roundTrip() {
    return link.roundTrip();
  }

  @Override
  public String problem() {
    return link.problem();
  }

  @Override
  public void call(Role role, Frame request, Executor executor, Answers answers) {
    link.call(role, request, executor, answers);
  }

  @Override
  public void peerIsThere() {
    link.peerIsThere();
  }

  @Override
  public void onUp(Executor executor, Runnable listener) {
    listeners.add(new Listener(executor, listener));
    link.onUp(executor, listener);
  }
}
