// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.handover;

import io.vmferry.api.Epoch;
import io.vmferry.api.VolumeState;
import io.vmferry.relay.exec.Loop;
import io.vmferry.relay.peer.PeerLink;
import io.vmferry.relay.peer.WireIds;
import io.vmferry.relay.peer.wire.Frame;
import io.vmferry.relay.peer.wire.Locate;
import io.vmferry.relay.peer.wire.Replica;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Comparator;
import java.util.List;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import java.util.stream.Stream;

/** Asks peers which replicas of some volumes they have. Loop only. */
final class Locator {

  /** A replica as its node described it. */
  record Found(String node, Replica replica) {
    /** One of the states that this release knows. */
    VolumeState state() {
      return VolumeState.valueOf(replica.getState());
    }

    boolean isOwner() {
      return is(VolumeState.SERVING) || is(VolumeState.FETCHING);
    }

    boolean is(VolumeState state) {
      return replica.getState().equals(state.name());
    }

    boolean isOf(UUID volume) {
      return volume.equals(WireIds.uuid(replica.getUuid()));
    }

    Epoch epoch() {
      return WireIds.epoch(replica.getEpoch());
    }

    long number() {
      return replica.getEpoch().getNumber();
    }
  }

  /**
   * What asking the peers brought.
   *
   * @param found all replicas, in no order
   * @param unreachable peers that did not answer, with the reason
   * @param asked names of all peers that were asked
   */
  record Answers(List<Found> found, List<String> unreachable, List<String> asked) {
    Stream<Found> of(String name) {
      return found.stream().filter(each -> each.replica().getName().equals(name));
    }

    /** The owner of the highest epoch, or null. */
    Found owner(String name) {
      return of(name)
          .filter(Found::isOwner)
          .max(Comparator.comparingLong(Found::number).thenComparing(Found::node))
          .orElse(null);
    }

    /** The replica at that node if it says that it is no owner, or null. */
    Found otherAt(String name, String node) {
      return of(name)
          .filter(each -> !each.isOwner() && each.node().equals(node))
          .findFirst()
          .orElse(null);
    }
  }

  private final Loop loop;

  Locator(Loop loop) {
    this.loop = loop;
  }

  /** Completed on the loop when each peer has answered or is known not to. Never fails. */
  CompletableFuture<Answers> ask(Collection<PeerLink> links, List<String> names) {
    Frame request = Frame.newBuilder().setLocate(Locate.newBuilder().addAllNames(names)).build();
    Answers answers = new Answers(new ArrayList<>(), new ArrayList<>(), new ArrayList<>());
    List<CompletableFuture<Void>> all = new ArrayList<>();
    for (PeerLink link : links) {
      answers.asked().add(link.node());
      all.add(
          ControlCall.ask(
                  link, request, loop, (answer, payload) -> answer.getLocated().getReplicasList())
              .handle(
                  (replicas, error) -> {
                    if (error != null) {
                      answers.unreachable().add(link.node() + " (" + error.getMessage() + ")");
                    } else {
                      replicas.forEach(
                          replica -> answers.found().add(new Found(link.node(), replica)));
                    }
                    return null;
                  }));
    }
    return CompletableFuture.allOf(all.toArray(CompletableFuture[]::new))
        .thenApply(done -> answers);
  }
}
