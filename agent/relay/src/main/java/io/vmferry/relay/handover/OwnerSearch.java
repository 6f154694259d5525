// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.handover;

import io.vmferry.api.Problem;
import io.vmferry.api.ProblemException;
import io.vmferry.api.VolumeState;
import io.vmferry.relay.handover.Locator.Answers;
import io.vmferry.relay.handover.Locator.Found;
import io.vmferry.relay.peer.PeerLink;
import io.vmferry.relay.peer.WireIds;
import io.vmferry.relay.volume.Volume;
import io.vmferry.relay.volume.VolumeRecord;
import io.vmferry.relay.volume.Volumes;
import java.util.Collection;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/** Which node owns a volume that is wanted here, and whether it may come here. Loop only. */
final class OwnerSearch {
  private final Volumes volumes;
  private final Peers peers;
  private final Forks forks;
  private final Locator locator;

  OwnerSearch(Volumes volumes, Peers peers, Forks forks) {
    this.volumes = volumes;
    this.peers = peers;
    this.forks = forks;
    this.locator = new Locator(volumes.shared().loop());
  }

  /** Whether somebody else may own the volume. */
  boolean mustAsk(String name, String hint) {
    Volume here = volumes.byName(name);
    boolean hintElsewhere = hint != null && !hint.equals(peers.self()) && !overruled(here, hint);
    return here == null || !here.isOwner() || hintElsewhere;
  }

  /** An operator promoted the replica here over that very owner: the domain's XML is older. */
  private static boolean overruled(Volume here, String hint) {
    return here != null
        && here.record().promotedOver() != null
        && here.record().promotedOver().owner().equals(hint);
  }

  /** Asks the node that the hint names, and all others if it does not know the owner. */
  CompletableFuture<Answers> locate(List<String> names, String hint) {
    if (hint != null && peers.knows(hint)) {
      return ask(List.of(peers.link(hint)), names)
          .thenCompose(
              answers ->
                  names.stream().allMatch(name -> answers.owner(name) != null)
                          || !answers.unreachable().isEmpty()
                      ? CompletableFuture.completedFuture(answers)
                      : ask(peers.links(), names));
    }
    return ask(peers.links(), names);
  }

  private CompletableFuture<Answers> ask(Collection<PeerLink> links, List<String> names) {
    return locator
        .ask(links, names)
        .thenApply(
            answers -> {
              answers.found().forEach(forks::met);
              return answers;
            });
  }

  /**
   * The owner to attach to; null if the volume is rightly served here already.
   *
   * @throws ProblemException that says why there is none
   * @throws ChangingHandsException if there may be one soon
   */
  Found choose(String name, Answers answers, String hint) {
    Volume here = volumes.byName(name);
    Found found = answers.owner(name);
    if (found == null && here != null && here.record().state() == VolumeState.RELEASED) {
      // It was released to a node that may not have got the answer: that node is reminded.
      found = answers.otherAt(name, here.record().epoch().owner());
    }
    if (found == null) {
      if (here != null && here.isOwner() && answers.unreachable().isEmpty()) {
        return null;
      }
      throw ownerNotFound(name, answers, hint);
    }
    if (here == null || !here.isOwner()) {
      checkNoFork(name, answers);
    }
    if (here == null) {
      return found;
    }
    VolumeRecord record = here.record();
    if (!record.uuid().equals(WireIds.uuid(found.replica().getUuid()))) {
      throw new ProblemException(
          Problem.Code.NAME_TAKEN,
          "another volume named "
              + name
              + " is already on node "
              + peers.self()
              + "; rename or delete one of the two");
    }
    if (here.isOwner()) {
      if (record.epoch().number() > found.number()) {
        return null;
      }
      throw new ProblemException(
          Problem.Code.REFUSED,
          "volume "
              + name
              + " has two owners: node "
              + peers.self()
              + " in epoch "
              + record.epoch().number()
              + " and node "
              + found.node()
              + " in epoch "
              + found.number()
              + "; export both and keep the one you want");
    }
    boolean readByAnother =
        record.held() != VolumeRecord.Held.NONE
            && record.completeAt() == null
            && !record.epoch().owner().equals(found.node());
    if (readByAnother) {
      throw new ProblemException(
          Problem.Code.REFUSED,
          "node "
              + record.epoch().owner()
              + " still copies volume "
              + name
              + " from node "
              + peers.self()
              + "; try again when it is complete");
    }
    if (record.origin() != null && record.held() == VolumeRecord.Held.JOURNAL) {
      throw new ProblemException(
          Problem.Code.REFUSED,
          "node "
              + peers.self()
              + " still copies volume "
              + name
              + " from node "
              + record.origin().node()
              + "; try again when it is complete");
    }
    return found;
  }

  /**
   * Which of two owners the guest goes with can't be known here: a guest's memory together with the
   * other one's disk would be ruin.
   */
  private static void checkNoFork(String name, Answers answers) {
    List<Found> owners = answers.of(name).filter(Found::isOwner).toList();
    boolean tie = owners.stream().map(Found::number).distinct().count() < owners.size();
    List<Found> parked = answers.of(name).filter(each -> each.is(VolumeState.FORKED)).toList();
    if (tie || !parked.isEmpty()) {
      throw new ProblemException(
          Problem.Code.REFUSED,
          "volume "
              + name
              + " has two owners: "
              + Stream.concat(owners.stream(), parked.stream())
                  .map(each -> "node " + each.node() + " in epoch " + each.number())
                  .collect(Collectors.joining(" and "))
              + "; 'vmferry status' on the node whose copy is parked says what to do");
    }
  }

  private RuntimeException ownerNotFound(String name, Answers answers, String hint) {
    if (!answers.unreachable().isEmpty()) {
      return new ProblemException(
          Problem.Code.OWNER_UNREACHABLE,
          "volume "
              + name
              + " can't be reached from node "
              + peers.self()
              + ": no answer from "
              + String.join(", ", answers.unreachable())
              + "; check that relay and the way to it");
    }
    if (answers.asked().isEmpty()) {
      return new ProblemException(
          Problem.Code.OWNER_UNKNOWN,
          "volume "
              + name
              + " is not on node "
              + peers.self()
              + ", which has no peers to ask; add them to vmferry.yaml");
    }
    String hinted =
        hint == null || peers.knows(hint)
            ? ""
            : " (the domain names node " + hint + ", which is not among the peers)";
    ProblemException unknown =
        new ProblemException(
            Problem.Code.OWNER_UNKNOWN,
            "volume "
                + name
                + " is owned by none of "
                + String.join(", ", answers.asked())
                + hinted
                + "; add the owner's node to the peers in vmferry.yaml, or create the volume");
    boolean exists = volumes.byName(name) != null || answers.of(name).findAny().isPresent();
    return exists ? new ChangingHandsException(unknown) : unknown;
  }
}
