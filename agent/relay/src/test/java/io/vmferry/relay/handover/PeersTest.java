// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.handover;

import static org.assertj.core.api.Assertions.assertThat;

import io.vmferry.relay.copy.RateLimit;
import io.vmferry.relay.exec.Loop;
import io.vmferry.relay.peer.PeerLink;
import io.vmferry.relay.peer.RoundTrip;
import io.vmferry.relay.peer.wire.Frame;
import io.vmferry.relay.peer.wire.Role;
import io.vmferry.relay.sim.VirtualTime;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Executor;
import org.junit.jupiter.api.Test;

/** Peers that come, go and move while others hold on to the way to them. */
final class PeersTest {
  private final Loop loop = new VirtualTime().new NodeLoop();
  private final Link b = new Link("b", "old");
  private final Peers peers = new Peers("a", loop, new RateLimit(null, 0), List.of(b));
  private final List<String> told = new ArrayList<>();

  /** A link that does nothing but count. */
  private static final class Link implements PeerLink {
    final List<Runnable> listeners = new ArrayList<>();
    private final String node;
    private final String address;
    int calls;

    Link(String node, String address) {
      this.node = node;
      this.address = address;
    }

    @Override
    public String node() {
      return node;
    }

    @Override
    public String address() {
      return address;
    }

    @Override
    public boolean up() {
      return true;
    }

    @Override
    public RoundTrip roundTrip() {
      return RoundTrip.UNKNOWN;
    }

    @Override
    public String problem() {
      return null;
    }

    @Override
    public void call(Role role, Frame request, Executor executor, Answers answers) {
      calls++;
    }

    @Override
    public void onUp(Executor executor, Runnable listener) {
      listeners.add(listener);
    }
  }

  private static void call(PeerLink link) {
    link.call(Role.CONTROL, Frame.getDefaultInstance(), Runnable::run, null);
  }

  @Test
  void whoHoldsAWayGoesOverTheNewLink() {
    PeerLink way = peers.link("b");
    way.onUp(Runnable::run, () -> told.add("up"));
    Link moved = new Link("b", "new");
    peers.put(moved);
    call(way);
    assertThat(moved.calls).isEqualTo(1);
    assertThat(b.calls).isZero();
    assertThat(way.address()).isEqualTo("new");
    moved.listeners.forEach(Runnable::run);
    assertThat(told).containsExactly("up");
  }

  @Test
  void aRemovedPeerIsDownUntilItComesBack() {
    PeerLink way = peers.link("b");
    peers.remove("b");
    assertThat(peers.knows("b")).isFalse();
    assertThat(peers.links()).isEmpty();
    assertThat(way.up()).isFalse();
    assertThat(way.problem()).contains("not among the peers");
    peers.put(b);
    assertThat(way.up()).isTrue();
    assertThat(peers.links()).containsExactly(way);
  }

  @Test
  void aWayToANodeThatIsConfiguredLaterOpensThen() {
    PeerLink way = peers.link("c");
    assertThat(way.up()).isFalse();
    assertThat(peers.knows("c")).isFalse();
    peers.put(new Link("c", "there"));
    assertThat(way.up()).isTrue();
    assertThat(peers.knows("c")).isTrue();
  }

  @Test
  void watchersSeeEachPeerOnce() {
    peers.each(link -> told.add(link.node()));
    peers.put(new Link("c", "there"));
    peers.put(new Link("b", "new"));
    peers.remove("c");
    peers.put(new Link("c", "there again"));
    assertThat(told).containsExactly("b", "c");
  }
}
