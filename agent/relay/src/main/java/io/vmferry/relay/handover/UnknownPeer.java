// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.handover;

import io.vmferry.relay.peer.LinkDownException;
import io.vmferry.relay.peer.PeerLink;
import io.vmferry.relay.peer.RoundTrip;
import io.vmferry.relay.peer.wire.Frame;
import io.vmferry.relay.peer.wire.Role;
import java.util.concurrent.Executor;

/**
 * A node that a volume's record names and the configuration doesn't (any more): always down.
 *
 * @param node its name
 */
record UnknownPeer(String node) implements PeerLink {
  @Override
  public String address() {
    return "not configured";
  }

  @Override
  public boolean up() {
    return false;
  }

  @Override
  public RoundTrip roundTrip() {
    return RoundTrip.UNKNOWN;
  }

  @Override
  public String problem() {
    return "node " + node + " is not among the peers in vmferry.yaml; add it and reload the relay";
  }

  @Override
  public void call(Role role, Frame request, Executor executor, Answers answers) {
    executor.execute(() -> answers.end(new LinkDownException(node, role, problem())));
  }

  @Override
  public void onUp(Executor executor, Runnable listener) {
    // It never comes up.
  }
}
