// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.handover;

import io.vmferry.api.PeerClients;
import io.vmferry.relay.exec.Loop;
import io.vmferry.relay.peer.PeerLink;
import io.vmferry.relay.peer.WireIds;
import io.vmferry.relay.peer.wire.Frame;
import io.vmferry.relay.peer.wire.Locate;
import io.vmferry.relay.peer.wire.Located;
import io.vmferry.relay.peer.wire.Replica;
import io.vmferry.relay.volume.Volume;
import java.util.ArrayList;
import java.util.List;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;

/**
 * Asks all peers who has a volume open there. A QEMU at the destination of a migration has it open
 * from its start to its end, so "nobody" is the proof that no second guest can be running. Loop
 * only.
 */
public final class ClientsAtPeers {
  private final Peers peers;
  private final Loop loop;

  public ClientsAtPeers(Peers peers, Loop loop) {
    this.peers = peers;
    this.loop = loop;
  }

  /**
   * One answer per configured peer, in the order of their names; never fails. What a peer does not
   * say counts as unknown, never as "nobody".
   */
  public CompletableFuture<List<PeerClients>> of(Volume volume) {
    String name = volume.record().name();
    UUID uuid = volume.record().uuid();
    Frame question =
        Frame.newBuilder().setLocate(Locate.newBuilder().addNames(name).build()).build();
    List<CompletableFuture<PeerClients>> answers = new ArrayList<>();
    for (PeerLink link : peers.links()) {
      answers.add(
          ControlCall.ask(
                  link,
                  question,
                  loop,
                  (answer, payload) -> read(link.node(), name, uuid, answer.getLocated()))
              .exceptionally(error -> unknown(link.node(), error)));
    }
    return CompletableFuture.allOf(answers.toArray(CompletableFuture[]::new))
        .thenApply(done -> answers.stream().map(CompletableFuture::join).toList());
  }

  private static PeerClients read(String node, String name, UUID uuid, Located located) {
    int clients = 0;
    for (Replica replica : located.getReplicasList()) {
      // Another volume of the same name is none of this one's.
      if (replica.getName().equals(name) && WireIds.uuid(replica.getUuid()).equals(uuid)) {
        if (!replica.hasClients()) {
          return new PeerClients(
              node, 0, "node " + node + " runs a release that does not say; update it");
        }
        clients = replica.getClients();
      }
    }
    return new PeerClients(node, clients, null);
  }

  private static PeerClients unknown(String node, Throwable error) {
    Throwable cause = error instanceof CompletionException ? error.getCause() : error;
    return new PeerClients(
        node, 0, "node " + node + " does not answer (" + cause.getMessage() + ")");
  }
}
