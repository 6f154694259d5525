// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.volume;

import io.vmferry.nbd.NbdClient;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.function.Consumer;

/**
 * The local NBD clients of one volume: those that are connected, and those that lost their
 * connection without saying DISC while their process lives on. The latter may come back and write,
 * so they count as clients until their process is gone or reconnects. Loop only.
 */
final class LocalClients {

  /** One connection. */
  static final class Client {
    private final NbdClient nbd;
    private final LocalProcess process;

    private Client(NbdClient nbd, LocalProcess process) {
      this.nbd = nbd;
      this.process = process;
    }
  }

  private final ProcessTable processes;
  private final Consumer<Set<LocalProcess>> survivors;
  private final List<Client> connected = new ArrayList<>();
  private final Set<LocalProcess> lost;

  /**
   * Starts from what an earlier relay process left.
   *
   * @param left processes that were connected when the earlier relay process ended
   * @param survivors told of every change, to keep where it survives this process
   */
  LocalClients(
      ProcessTable processes, Set<LocalProcess> left, Consumer<Set<LocalProcess>> survivors) {
    this.processes = processes;
    this.lost = new HashSet<>(left);
    this.survivors = survivors;
  }

  Client connected(NbdClient nbd) {
    LocalProcess process = processes.find(nbd.pid()).orElse(null);
    Client client = new Client(nbd, process);
    connected.add(client);
    if (process != null) {
      lost.remove(process);
    }
    changed();
    return client;
  }

  void closed(Client client, boolean orderly) {
    connected.remove(client);
    if (!orderly && client.process != null && processes.alive(client.process)) {
      lost.add(client.process);
    }
    changed();
  }

  /** Connections, plus processes that lost theirs and live. */
  int count() {
    lost.removeIf(process -> !processes.alive(process));
    return connected.size() + lost.size();
  }

  /** For messages: who has the volume open. */
  String describe() {
    List<String> who = new ArrayList<>();
    for (Client client : connected) {
      who.add(
          client.nbd.pid() > 0 ? "process " + client.nbd.pid() : "a process of another namespace");
    }
    for (LocalProcess process : lost) {
      who.add("process " + process.pid() + " (connection lost)");
    }
    return String.join(", ", who);
  }

  private void changed() {
    Set<LocalProcess> all = new HashSet<>(lost);
    for (Client client : connected) {
      if (client.process != null) {
        all.add(client.process);
      }
    }
    survivors.accept(all);
  }
}
