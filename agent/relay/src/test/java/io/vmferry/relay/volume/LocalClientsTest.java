// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.volume;

import static org.assertj.core.api.Assertions.assertThat;

import io.vmferry.nbd.NbdClient;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.junit.jupiter.api.Test;

final class LocalClientsTest {
  private static final NbdClient QEMU = new NbdClient(1, 42, 0);

  /** Running processes: number and start time. */
  private final Map<Integer, Long> running = new HashMap<>(Map.of(42, 1000L));

  private final ProcessTable processes =
      pid -> Optional.ofNullable(running.get(pid)).map(start -> new LocalProcess(pid, start));
  private Set<LocalProcess> remembered;
  private final LocalClients clients = clients(Set.of());

  private LocalClients clients(Set<LocalProcess> left) {
    return new LocalClients(processes, left, who -> remembered = who);
  }

  @Test
  void aClientThatSaysGoodbyeIsGone() {
    LocalClients.Client client = clients.connected(QEMU);
    assertThat(clients.count()).isEqualTo(1);
    assertThat(remembered).containsExactly(new LocalProcess(42, 1000));
    clients.closed(client, true);
    assertThat(clients.count()).isZero();
    assertThat(remembered).isEmpty();
  }

  @Test
  void aLostConnectionCountsWhileItsProcessLives() {
    clients.closed(clients.connected(QEMU), false);
    assertThat(clients.count()).isEqualTo(1);
    assertThat(clients.describe()).isEqualTo("process 42 (connection lost)");
    running.remove(42);
    assertThat(clients.count()).isZero();
  }

  @Test
  void aLaterProcessWithTheSameNumberIsAnother() {
    clients.closed(clients.connected(QEMU), false);
    running.put(42, 2000L);
    assertThat(clients.count()).isZero();
  }

  @Test
  void whoReconnectsCountsOnce() {
    clients.closed(clients.connected(QEMU), false);
    clients.connected(QEMU);
    assertThat(clients.count()).isEqualTo(1);
    assertThat(clients.describe()).isEqualTo("process 42");
  }

  @Test
  void whoWasConnectedToTheLastRelayCountsUntilItComesBackOrEnds() {
    LocalClients later = clients(Set.of(new LocalProcess(42, 1000), new LocalProcess(43, 1)));
    assertThat(later.count()).as("43 has ended").isEqualTo(1);
    LocalClients.Client client = later.connected(QEMU);
    later.closed(client, true);
    assertThat(later.count()).isZero();
  }

  @Test
  void aClientOfAnotherNamespaceCountsWhileItIsConnected() {
    LocalClients.Client client = clients.connected(new NbdClient(1, 0, -1));
    assertThat(clients.count()).isEqualTo(1);
    assertThat(clients.describe()).isEqualTo("a process of another namespace");
    clients.closed(client, false);
    assertThat(clients.count()).isZero();
  }

  @Test
  void theHostsTableKnowsThisProcessAndNoOther() {
    ProcessTable host = ProcessTable.ofHost();
    int self = (int) ProcessHandle.current().pid();
    LocalProcess me = host.find(self).orElseThrow();
    assertThat(host.alive(me)).isTrue();
    assertThat(host.alive(new LocalProcess(self, me.startTime() + 1))).isFalse();
    assertThat(host.find(Integer.MAX_VALUE)).isEmpty();
    assertThat(host.find(0)).isEmpty();
  }
}
