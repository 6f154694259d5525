// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.handover;

import io.vmferry.api.AttachStandby;
import io.vmferry.api.Epoch;
import io.vmferry.api.Problem;
import io.vmferry.api.ProblemException;
import io.vmferry.api.VolumeState;
import io.vmferry.api.VolumeStatus;
import io.vmferry.relay.handover.Locator.Answers;
import io.vmferry.relay.handover.Locator.Found;
import io.vmferry.relay.peer.PeerLink;
import io.vmferry.relay.peer.WireIds;
import io.vmferry.relay.peer.wire.Attach;
import io.vmferry.relay.peer.wire.Frame;
import io.vmferry.relay.peer.wire.Replica;
import io.vmferry.relay.volume.Volume;
import io.vmferry.relay.volume.VolumeName;
import io.vmferry.relay.volume.VolumeRecord;
import io.vmferry.relay.volume.Volumes;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Comparator;
import java.util.List;
import java.util.Set;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.function.Supplier;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Phase 1: finds the owner of volumes that are wanted here and attaches standby replicas to it, of
 * all volumes that were asked for or of none. Loop only.
 */
public final class Attacher {
  private static final Logger log = LoggerFactory.getLogger(Attacher.class);

  private final Volumes volumes;
  private final Peers peers;
  private final Forks forks;
  private final OpenTakeovers open;
  private final Locator locator;

  public Attacher(Volumes volumes, Peers peers, Forks forks, OpenTakeovers open) {
    this.volumes = volumes;
    this.peers = peers;
    this.forks = forks;
    this.open = open;
    this.locator = new Locator(volumes.shared().loop());
  }

  /**
   * Attaches what isn't served here yet.
   *
   * @return fails with a ProblemException that says why the domain can't run here
   */
  public CompletableFuture<Void> attach(AttachStandby request) {
    request.volumes().forEach(this::checkUsable);
    List<String> wanted =
        request.volumes().stream()
            .distinct()
            .filter(name -> mustAsk(name, request.owner()))
            .toList();
    if (wanted.isEmpty()) {
      noteDomain(request);
      return CompletableFuture.completedFuture(null);
    }
    return locate(wanted, request.owner())
        .thenCompose(
            answers -> {
              List<Found> owned = new ArrayList<>();
              for (String name : wanted) {
                Found found = choose(name, answers, request.owner());
                if (found != null) {
                  owned.add(found);
                }
              }
              return checkSpace(owned).thenCompose(ok -> attachAll(owned, request.domain()));
            })
        // Not before: a volume here that only has the name of the one wanted is none of its.
        .thenRun(() -> noteDomain(request));
  }

  /**
   * Whether {@link #attach} of one volume would find an owner and room now. Changes nothing.
   *
   * @return fails with the ProblemException that says why not
   */
  public CompletableFuture<Void> check(String name) {
    checkUsable(name);
    if (!mustAsk(name, null)) {
      return CompletableFuture.completedFuture(null);
    }
    return locate(List.of(name), null)
        .thenCompose(
            answers -> {
              Found found = choose(name, answers, null);
              return checkSpace(found == null ? List.of() : List.of(found));
            });
  }

  private void checkUsable(String name) {
    VolumeName.check(name);
    if (volumes.broken(name) != null) {
      throw new ProblemException(Problem.Code.INTERNAL, volumes.broken(name));
    }
    Volume here = volumes.byName(name);
    if (here != null && here.isForked()) {
      throw new ProblemException(Problem.Code.REFUSED, here.forkSentence());
    }
    if (here != null && here.failure() != null) {
      throw new ProblemException(Problem.Code.REFUSED, here.failure());
    }
  }

  /** A guest that starts on volumes owned here: they move together from now on. */
  private void noteDomain(AttachStandby request) {
    for (String name : request.volumes()) {
      Volume here = volumes.byName(name);
      if (here != null && here.isOwner() && request.domain() != null) {
        volumes.note(
            here,
            record -> record.withDomain(request.domain()),
            (record, error) -> {
              if (error != null) {
                log.warn("volume {}: its domain is not noted: {}", name, error.getMessage());
              }
            });
      }
    }
  }

  /**
   * Drops the standbys of a domain. Those with a client, those that may have been made owner, and
   * volumes in other states stay.
   */
  public CompletableFuture<Void> drop(UUID domain) {
    List<CompletableFuture<Void>> drops = new ArrayList<>();
    for (Volume standby : volumes.standbysOf(domain)) {
      if (standby.clients() > 0) {
        throw new ProblemException(
            Problem.Code.IN_USE,
            "volume "
                + standby.record().name()
                + " is still open here ("
                + standby.describeClients()
                + "); it can be dropped when that has ended");
      }
      drops.add(drop(standby));
    }
    return CompletableFuture.allOf(drops.toArray(CompletableFuture[]::new));
  }

  private CompletableFuture<Void> drop(Volume standby) {
    return open.close(standby).thenCompose(closed -> dropClosed(standby));
  }

  private CompletableFuture<Void> dropClosed(Volume standby) {
    if (standby.record().held() == VolumeRecord.Held.NONE) {
      return volumes.delete(standby, () -> noLongerDroppable(standby));
    }
    CompletableFuture<Void> dropped = new CompletableFuture<>();
    change(
        standby,
        () -> {
          boolean droppable = standby.record().state() == VolumeState.STANDBY;
          return droppable && !open.isOpen(standby) ? standby.record().dropped() : null;
        },
        dropped);
    return dropped;
  }

  private ProblemException noLongerDroppable(Volume standby) {
    return standby.record().state() == VolumeState.STANDBY && !open.isOpen(standby)
        ? null
        : new ProblemException(
            Problem.Code.REFUSED,
            "volume " + standby.record().name() + " was taken over meanwhile; nothing to drop");
  }

  /** Whether somebody else may own the volume. */
  private boolean mustAsk(String name, String hint) {
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

  private CompletableFuture<Answers> locate(List<String> names, String hint) {
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

  /** The owner to attach to; null if the volume is rightly served here already. */
  private Found choose(String name, Answers answers, String hint) {
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

  private ProblemException ownerNotFound(String name, Answers answers, String hint) {
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
    return new ProblemException(
        Problem.Code.OWNER_UNKNOWN,
        "volume "
            + name
            + " is owned by none of "
            + String.join(", ", answers.asked())
            + hinted
            + "; add the owner's node to the peers in vmferry.yaml, or create the volume");
  }

  private CompletableFuture<Void> checkSpace(List<Found> owned) {
    long needed = 0;
    for (Found each : owned) {
      Volume here = volumes.byName(each.replica().getName());
      long has = here == null ? 0 : here.status().allocated();
      needed += Math.max(0, each.replica().getAllocated() - has);
    }
    long need = needed;
    CompletableFuture<Void> checked = new CompletableFuture<>();
    volumes
        .shared()
        .tasks()
        .run(
            () -> volumes.shared().storage().freeBytes(),
            (free, error) -> {
              if (error != null) {
                checked.completeExceptionally(
                    Volumes.storageProblem("the free space on this node is unknown", error));
              } else if (free < need) {
                checked.completeExceptionally(
                    new ProblemException(
                        Problem.Code.NO_SPACE,
                        "node "
                            + peers.self()
                            + " has "
                            + (free >> 20)
                            + " MiB free for volumes and "
                            + (need >> 20)
                            + " MiB are needed; "
                            + howToMakeRoom(owned)
                            + "choose another node"));
              } else {
                checked.complete(null);
              }
            });
    return checked;
  }

  /** Retained copies are a convenience: whoever is refused because of them should know. */
  private String howToMakeRoom(List<Found> owned) {
    Set<String> wanted =
        owned.stream().map(each -> each.replica().getName()).collect(Collectors.toSet());
    List<VolumeStatus> copies =
        volumes.all().stream()
            .filter(volume -> volume.record().state() == VolumeState.RELEASED)
            .filter(volume -> volume.record().completeAt() != null && volume.clients() == 0)
            .filter(volume -> !wanted.contains(volume.record().name()))
            .map(Volume::status)
            .sorted(Comparator.comparingLong(VolumeStatus::allocated).reversed())
            .toList();
    if (copies.isEmpty()) {
      return "free some or ";
    }
    long held = copies.stream().mapToLong(VolumeStatus::allocated).sum();
    return "copies of volumes that are complete elsewhere hold "
        + (held >> 20)
        + " MiB: delete the largest with 'vmferry volume delete "
        + copies.get(0).name()
        + "', or ";
  }

  private CompletableFuture<Void> attachAll(List<Found> owned, UUID domain) {
    List<Volume> made = new ArrayList<>();
    CompletableFuture<Void> chain = CompletableFuture.completedFuture(null);
    for (Found each : owned) {
      chain = chain.thenCompose(previous -> attachOne(each, domain, made));
    }
    return chain.whenComplete(
        (done, error) -> {
          if (error != null) {
            made.forEach(this::undo);
          }
        });
  }

  private void undo(Volume volume) {
    CompletableFuture<Void> unused =
        drop(volume)
            .exceptionally(
                error -> {
                  log.warn(
                      "volume {}: the standby could not be dropped: {}",
                      volume.record().name(),
                      error.getMessage());
                  return null;
                });
  }

  private CompletableFuture<Void> attachOne(Found owned, UUID domain, List<Volume> made) {
    Replica replica = owned.replica();
    Volume here = volumes.byName(replica.getName());
    Attach.Builder attach = Attach.newBuilder().setUuid(replica.getUuid());
    if (here != null && here.record().held() != VolumeRecord.Held.NONE) {
      attach.setEpoch(WireIds.epoch(here.record().epoch()));
    }
    return ControlCall.ask(
            peers.link(owned.node()),
            Frame.newBuilder().setAttach(attach).build(),
            volumes.shared().loop(),
            (answer, payload) -> answer.getAttached().getReplica())
        .exceptionally(
            error -> {
              throw refused(replica.getName(), owned.node(), error);
            })
        .thenCompose(
            confirmed -> {
              Epoch epoch = WireIds.epoch(confirmed.getEpoch());
              if (here != null && here.record().size() != confirmed.getSize()) {
                return replaceGrown(here, confirmed, domain, made);
              }
              if (here != null) {
                CompletableFuture<Void> attached = new CompletableFuture<>();
                boolean wasReleased = here.record().state() == VolumeState.RELEASED;
                change(here, () -> standbyAgain(here.record(), epoch, domain), attached);
                if (wasReleased) {
                  made.add(here);
                }
                return attached;
              }
              return addStandby(confirmed, domain, made);
            });
  }

  /**
   * The volume was extended since this replica was its owner's: of a copy of the old size nothing
   * counts. The owner grows only when it holds everything, so nobody reads the copy.
   */
  private CompletableFuture<Void> replaceGrown(
      Volume here, Replica confirmed, UUID domain, List<Volume> made) {
    return volumes
        .delete(here, () -> stillOpen(here))
        .thenCompose(deleted -> addStandby(confirmed, domain, made));
  }

  /** QEMU can't be told of another size. */
  private static ProblemException stillOpen(Volume here) {
    return here.clients() == 0
        ? null
        : new ProblemException(
            Problem.Code.IN_USE,
            "volume "
                + here.record().name()
                + " was extended while it is open here with its old size ("
                + here.describeClients()
                + "); shut that down, then start it again");
  }

  private CompletableFuture<Void> addStandby(Replica confirmed, UUID domain, List<Volume> made) {
    return volumes
        .add(
            VolumeRecord.standby(
                confirmed.getName(),
                WireIds.uuid(confirmed.getUuid()),
                confirmed.getSize(),
                WireIds.epoch(confirmed.getEpoch()),
                domain))
        .thenAccept(made::add);
  }

  private static VolumeRecord standbyAgain(VolumeRecord record, Epoch epoch, UUID domain) {
    return switch (record.state()) {
      case RELEASED -> record.attached(epoch, domain);
      case STANDBY -> record.reattached(epoch, domain);
      case SERVING, FETCHING, FORKED -> null;
    };
  }

  private void change(
      Volume volume, Supplier<VolumeRecord> change, CompletableFuture<Void> result) {
    volumes
        .commits()
        .<VolumeRecord>submit(
            () -> {
              VolumeRecord changed = change.get();
              if (changed == null) {
                return null;
              }
              return () -> {
                volumes.shared().storage().commit(List.of(changed));
                return changed;
              };
            },
            (changed, error) -> {
              if (error != null) {
                result.completeExceptionally(
                    Volumes.storageProblem(
                        "volume " + volume.record().name() + " can't be attached", error));
                return;
              }
              if (changed != null) {
                volume.become(changed);
              }
              result.complete(null);
            });
  }

  private static ProblemException refused(String name, String node, Throwable error) {
    Throwable cause = error instanceof CompletionException ? error.getCause() : error;
    Problem.Code code =
        cause instanceof RefusedException ? Problem.Code.REFUSED : Problem.Code.OWNER_UNREACHABLE;
    return new ProblemException(
        code,
        "volume "
            + name
            + " can't be attached to its owner, node "
            + node
            + ": "
            + cause.getMessage());
  }
}
