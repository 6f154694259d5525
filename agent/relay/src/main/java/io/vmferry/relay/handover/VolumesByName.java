// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.handover;

import io.vmferry.api.Problem;
import io.vmferry.api.ProblemException;
import io.vmferry.api.VolumeLocation;
import io.vmferry.relay.handover.Locator.Answers;
import io.vmferry.relay.handover.Locator.Found;
import io.vmferry.relay.peer.WireIds;
import io.vmferry.relay.peer.wire.Delete;
import io.vmferry.relay.peer.wire.Extend;
import io.vmferry.relay.peer.wire.Frame;
import io.vmferry.relay.peer.wire.Replica;
import io.vmferry.relay.volume.Volume;
import io.vmferry.relay.volume.VolumeName;
import io.vmferry.relay.volume.Volumes;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.function.Supplier;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Operations on a volume by its name, at whichever node: its owner is found and does it. Whoever
 * manages volumes, such as Cinder, need not know where a migration has taken them. Loop only.
 */
public final class VolumesByName {
  private static final Logger log = LoggerFactory.getLogger(VolumesByName.class);

  private final Volumes volumes;
  private final Peers peers;
  private final Departures departures;
  private final Extension extension;
  private final Locator locator;

  public VolumesByName(Volumes volumes, Peers peers, Departures departures, Extension extension) {
    this.volumes = volumes;
    this.peers = peers;
    this.departures = departures;
    this.extension = extension;
    this.locator = new Locator(volumes.shared().loop());
  }

  /** All replicas of one name, those here included. */
  private record Replicas(String name, List<Found> found, List<String> unreachable) {
    /** The owner of the highest epoch, or null. */
    Found owner() {
      return found.stream()
          .filter(Found::isOwner)
          .max(Comparator.comparingLong(Found::number))
          .orElse(null);
    }

    /** Those of the owner's volume. */
    List<Found> of(Found owner) {
      return found.stream()
          .filter(each -> each.replica().getUuid().equals(owner.replica().getUuid()))
          .toList();
    }
  }

  /** Fails with NOT_FOUND, OWNER_UNREACHABLE, OWNER_UNKNOWN, or REFUSED for a fork. */
  public CompletableFuture<VolumeLocation> locate(String name) {
    return find(name).thenApply(this::location);
  }

  /** Makes the volume larger. Fails as {@link #locate} does, or as its owner says. */
  public CompletableFuture<Void> extend(String name, long size) {
    if (size < 1) {
      throw new ProblemException(
          Problem.Code.BAD_REQUEST, "volume " + name + " can't have " + size + " bytes");
    }
    return find(name)
        .thenCompose(
            replicas -> {
              Found owner = requireOwner(replicas);
              return isHere(owner)
                  ? extension.extend(volumes.byName(name), size)
                  : tell(
                      owner,
                      Frame.newBuilder()
                          .setExtend(
                              Extend.newBuilder()
                                  .setUuid(owner.replica().getUuid())
                                  .setSize(size)));
            });
  }

  /**
   * Deletes the owner's replica, then the others; one of those that can't be deleted now goes by
   * itself or stays as a copy without owner. Fails as {@link #locate} does, with IN_USE, or as the
   * owner says.
   */
  public CompletableFuture<Void> delete(String name) {
    return find(name)
        .thenCompose(
            replicas -> {
              Found owner = replicas.owner();
              if (owner == null) {
                return deleteOrphans(replicas);
              }
              checkUnused(owner, replicas);
              return delete(owner)
                  .thenCompose(
                      done ->
                          deleteOthers(
                              replicas.of(owner).stream()
                                  .filter(each -> !each.node().equals(owner.node()))
                                  .toList()));
            });
  }

  /** An earlier deletion may have reached only the owner. */
  private CompletableFuture<Void> deleteOrphans(Replicas replicas) {
    if (replicas.found().isEmpty() || !replicas.unreachable().isEmpty()) {
      throw noOwner(replicas);
    }
    CompletableFuture<Void> chain = CompletableFuture.completedFuture(null);
    for (Found each : replicas.found()) {
      chain = chain.thenCompose(done -> delete(each));
    }
    return chain;
  }

  private CompletableFuture<Void> deleteOthers(List<Found> others) {
    List<CompletableFuture<Void>> all = new ArrayList<>();
    for (Found each : others) {
      all.add(
          soon(() -> delete(each))
              .exceptionally(
                  error -> {
                    log.info(
                        "volume {}: its copy at node {} stays: {}",
                        each.replica().getName(),
                        each.node(),
                        cause(error).getMessage());
                    return null;
                  }));
    }
    return CompletableFuture.allOf(all.toArray(CompletableFuture[]::new));
  }

  private CompletableFuture<Void> delete(Found replica) {
    if (!isHere(replica)) {
      return tell(
          replica,
          Frame.newBuilder().setDelete(Delete.newBuilder().setUuid(replica.replica().getUuid())));
    }
    Volume volume = volumes.byUuid(WireIds.uuid(replica.replica().getUuid()));
    return volume == null ? CompletableFuture.completedFuture(null) : departures.delete(volume);
  }

  private void checkUnused(Found owner, Replicas replicas) {
    for (Found each : replicas.of(owner)) {
      if (each.replica().getClients() > 0) {
        throw new ProblemException(
            Problem.Code.IN_USE,
            "volume "
                + replicas.name()
                + " is open on node "
                + each.node()
                + "; shut that guest down, then delete it");
      }
    }
  }

  private VolumeLocation location(Replicas replicas) {
    Found owner = requireOwner(replicas);
    Replica replica = owner.replica();
    return new VolumeLocation(
        replicas.name(),
        WireIds.uuid(replica.getUuid()),
        replica.getSize(),
        owner.state(),
        owner.node(),
        isHere(owner),
        replica.getOrigin().isEmpty() ? null : replica.getOrigin(),
        replica.getMissing(),
        replicas.of(owner).stream().mapToInt(each -> each.replica().getClients()).sum(),
        replica.getAllocated(),
        replica.getContent());
  }

  private CompletableFuture<Replicas> find(String name) {
    VolumeName.check(name);
    if (volumes.broken(name) != null) {
      throw new ProblemException(Problem.Code.REFUSED, volumes.broken(name));
    }
    return locator
        .ask(peers.links(), List.of(name))
        .thenApply(answers -> withThoseHere(name, answers));
  }

  private Replicas withThoseHere(String name, Answers answers) {
    List<Found> found = new ArrayList<>(answers.of(name).toList());
    Volume here = volumes.byName(name);
    if (here != null && here.isForked()) {
      throw new ProblemException(Problem.Code.REFUSED, here.record().forkSentence());
    }
    if (here != null) {
      found.add(new Found(peers.self(), ReplicaRequests.describe(here)));
    }
    return new Replicas(name, found, answers.unreachable());
  }

  private Found requireOwner(Replicas replicas) {
    Found owner = replicas.owner();
    if (owner == null) {
      throw noOwner(replicas);
    }
    return owner;
  }

  private ProblemException noOwner(Replicas replicas) {
    String name = replicas.name();
    if (!replicas.unreachable().isEmpty()) {
      return new ProblemException(
          Problem.Code.OWNER_UNREACHABLE,
          "the owner of volume "
              + name
              + " is not known: no answer from "
              + String.join(", ", replicas.unreachable())
              + "; check that relay and the way to it");
    }
    if (replicas.found().isEmpty()) {
      return new ProblemException(
          Problem.Code.NOT_FOUND,
          "there is no volume " + name + " on node " + peers.self() + " nor on any of its peers");
    }
    return new ProblemException(
        Problem.Code.OWNER_UNKNOWN,
        "volume "
            + name
            + " has copies and no owner; 'vmferry volume show "
            + name
            + "' on node "
            + replicas.found().get(0).node()
            + " says which node owned it");
  }

  private boolean isHere(Found found) {
    return found.node().equals(peers.self());
  }

  private CompletableFuture<Void> tell(Found replica, Frame.Builder request) {
    return ControlCall.ask(
            peers.link(replica.node()),
            request.build(),
            volumes.shared().loop(),
            (answer, payload) -> answer)
        .<Void>thenApply(done -> null)
        .exceptionally(
            error -> {
              throw refusal(replica, cause(error));
            });
  }

  private static ProblemException refusal(Found replica, Throwable error) {
    Problem.Code code =
        error instanceof RefusedException ? Problem.Code.REFUSED : Problem.Code.OWNER_UNREACHABLE;
    return new ProblemException(code, "node " + replica.node() + ": " + error.getMessage());
  }

  private static CompletableFuture<Void> soon(Supplier<CompletableFuture<Void>> action) {
    try {
      return action.get();
    } catch (RuntimeException e) {
      return CompletableFuture.failedFuture(e);
    }
  }

  private static Throwable cause(Throwable error) {
    return error instanceof CompletionException ? error.getCause() : error;
  }
}
