// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.handover;

import static io.vmferry.relay.handover.Nodes.open;
import static org.assertj.core.api.Assertions.assertThat;

import io.vmferry.api.PeerClients;
import io.vmferry.nbd.NbdSession;
import io.vmferry.relay.volume.Volume;
import java.util.List;
import org.junit.jupiter.api.Test;

final class ClientsAtPeersTest {
  private final Nodes nodes = new Nodes();
  private final Volume volume = nodes.create(nodes.a, "vol");

  ClientsAtPeersTest() throws Exception {}

  private List<PeerClients> ask() {
    return nodes.await(nodes.a.clientsAtPeers().of(volume));
  }

  @Test
  void nobodyHasWhatIsOnlyHere() {
    open(volume, 5); // a client here is no client at a peer

    assertThat(ask()).containsExactly(new PeerClients("b", 0, null), new PeerClients("c", 0, null));
  }

  @Test
  void aQemuAtAStandbyIsCountedUntilItEnds() {
    NbdSession qemu = open(nodes.attach(nodes.b, "vol"), 6);
    assertThat(ask()).containsExactly(new PeerClients("b", 1, null), new PeerClients("c", 0, null));

    qemu.closed(true);

    assertThat(ask()).containsExactly(new PeerClients("b", 0, null), new PeerClients("c", 0, null));
  }

  @Test
  void anotherVolumeOfTheSameNameIsNotCounted() {
    open(nodes.create(nodes.b, "vol"), 6);

    assertThat(ask()).contains(new PeerClients("b", 0, null));
  }

  @Test
  void silenceIsNotNobody() {
    nodes.wire(false);

    assertThat(ask())
        .extracting(PeerClients::problem)
        .hasSize(2)
        .allSatisfy(problem -> assertThat(problem).contains("does not answer"));
  }
}
