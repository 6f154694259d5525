// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.handover;

import io.vmferry.api.AttachCheck;
import io.vmferry.api.AttachStandby;
import io.vmferry.api.CheckAttach;
import io.vmferry.api.Problem;
import io.vmferry.api.ProblemException;
import io.vmferry.relay.exec.Loop;
import io.vmferry.relay.peer.WireIds;
import io.vmferry.relay.peer.wire.CheckedAttach;
import io.vmferry.relay.peer.wire.Frame;
import io.vmferry.relay.peer.wire.Refused;
import io.vmferry.relay.volume.Volume;
import io.vmferry.relay.volume.Volumes;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.function.Supplier;
import java.util.stream.Collectors;

/**
 * Would a migration work? The owner asks the node that the domain would go to, which answers with
 * what its own {@link Attacher} would refuse: so there is one set of rules, and they are applied
 * where they will be applied, with that node's peers, certificates and space. Loop only.
 */
public final class AttachChecks {
  private final Volumes volumes;
  private final Peers peers;
  private final Attacher attacher;
  private final Supplier<CompletableFuture<Optional<String>>> agentProblem;
  private final String nbdSocket;
  private final Loop loop;

  /**
   * @param agentProblem what keeps the agent of this node from taking a domain in, one sentence;
   *     never fails, completes on any thread
   * @param nbdSocket path of the socket that this relay serves volumes on
   */
  public AttachChecks(
      Volumes volumes,
      Peers peers,
      Attacher attacher,
      Supplier<CompletableFuture<Optional<String>>> agentProblem,
      String nbdSocket) {
    this.volumes = volumes;
    this.peers = peers;
    this.attacher = attacher;
    this.agentProblem = agentProblem;
    this.nbdSocket = nbdSocket;
    this.loop = volumes.shared().loop();
  }

  /**
   * What stands in the way of a migration from here.
   *
   * @throws ProblemException if the other node is none that can be asked
   */
  public CompletableFuture<AttachCheck> ask(CheckAttach check) {
    String node = check.node();
    if (node.equals(peers.self()) || !peers.knows(node)) {
      String known =
          peers.links().stream().map(link -> link.node()).collect(Collectors.joining(", "));
      throw new ProblemException(
          Problem.Code.BAD_REQUEST,
          "node "
              + node
              + (node.equals(peers.self()) ? " is this node" : " is not a peer of this node")
              + "; its peers are "
              + (known.isEmpty() ? "none" : known)
              + "; `peers` in vmferry.yaml names them, on both nodes");
    }
    List<String> here =
        check.volumes().stream()
            .distinct()
            .map(this::problemHere)
            .filter(Objects::nonNull)
            .toList();
    io.vmferry.relay.peer.wire.CheckAttach.Builder question =
        io.vmferry.relay.peer.wire.CheckAttach.newBuilder()
            .setDomain(WireIds.bytes(check.domain()))
            .addAllNames(check.volumes())
            .setNbdSocket(nbdSocket);
    if (check.owner() != null) {
      question.setOwner(check.owner());
    }
    return ControlCall.ask(
            peers.link(node),
            Frame.newBuilder().setCheckAttach(question).build(),
            loop,
            (answer, payload) -> List.copyOf(answer.getCheckedAttach().getProblemsList()))
        .exceptionally(error -> List.of(notAsked(node, error)))
        .thenApply(there -> new AttachCheck(here, there));
  }

  /** Why the volume can't be given away from here, or null. */
  private String problemHere(String name) {
    if (volumes.broken(name) != null) {
      return volumes.broken(name);
    }
    Volume volume = volumes.byName(name);
    if (volume == null) {
      return "there is no volume "
          + name
          + " on node "
          + peers.self()
          + "; 'vmferry volume list' shows what is here";
    }
    if (volume.failure() != null) {
      return "volume " + name + " is stopped: " + volume.failure();
    }
    if (volume.isForked()) {
      return volume.record().forkSentence();
    }
    return volume.isOwner()
        ? OwnerHandover.needsSource(volume.record())
        : "volume "
            + name
            + " is owned by node "
            + volume.record().epoch().owner()
            + "; look at `vmferry status` for what it waits for, or check from there";
  }

  private String notAsked(String node, Throwable error) {
    Throwable cause = error instanceof CompletionException ? error.getCause() : error;
    boolean old =
        cause instanceof RefusedException refused && refused.code() == Refused.Code.UNSUPPORTED;
    return old
        ? "node " + node + " runs a release that can't be asked; update it"
        : "node "
            + node
            + " can't be reached from node "
            + peers.self()
            + ": "
            + cause.getMessage()
            + "; check that relay and the way to it";
  }

  /** The other side: what this node would refuse. */
  CompletableFuture<CheckedAttach> answer(io.vmferry.relay.peer.wire.CheckAttach question) {
    List<String> problems = new ArrayList<>();
    if (!question.getNbdSocket().equals(nbdSocket)) {
      problems.add(
          "the domain's disks are on the socket "
              + question.getNbdSocket()
              + ", but node "
              + peers.self()
              + " serves volumes on "
              + nbdSocket
              + "; set paths.run to the same directory on both nodes");
    }
    AttachStandby request =
        new AttachStandby(
            WireIds.uuid(question.getDomain()),
            question.getNamesList(),
            question.getOwner().isEmpty() ? null : question.getOwner());
    return agentProblem
        .get()
        .thenComposeAsync(
            agent -> {
              agent.ifPresent(problem -> problems.add("on node " + peers.self() + ", " + problem));
              return attacher.check(request);
            },
            loop)
        .thenApply(
            refusals -> {
              problems.addAll(refusals);
              return CheckedAttach.newBuilder().addAllProblems(problems).build();
            });
  }
}
