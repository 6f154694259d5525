// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.handover;

import io.vmferry.api.AttachStandby;
import io.vmferry.api.Epoch;
import io.vmferry.api.Problem;
import io.vmferry.api.ProblemException;
import io.vmferry.api.VolumeState;
import io.vmferry.config.PreCopyMode;
import io.vmferry.relay.handover.Locator.Found;
import io.vmferry.relay.peer.WireIds;
import io.vmferry.relay.peer.wire.Attach;
import io.vmferry.relay.peer.wire.Frame;
import io.vmferry.relay.peer.wire.Refused;
import io.vmferry.relay.peer.wire.Replica;
import io.vmferry.relay.volume.Volume;
import io.vmferry.relay.volume.VolumeLog;
import io.vmferry.relay.volume.VolumeName;
import io.vmferry.relay.volume.VolumeRecord;
import io.vmferry.relay.volume.Volumes;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.function.Supplier;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Phase 1: finds the owner of volumes that are wanted here and attaches standby replicas to it, of
 * all volumes that were asked for or of none. Loop only.
 */
public final class Attacher {
  private static final Logger log = LoggerFactory.getLogger(Attacher.class);

  /** Between two looks at a volume that changes hands: a takeover takes some round trips. */
  private static final Duration LOOK_AGAIN = Duration.ofMillis(200);

  /** Looks before a volume without owner is taken for one: whoever asks waits for three seconds. */
  private static final int LOOKS = 15;

  private final Volumes volumes;
  private final Peers peers;
  private final OwnerSearch owners;
  private final SpaceCheck space;
  private final StandbyRecords records;
  private final StandbyDrop standbys;

  /** A standby of an attempt, and the domain of the retained replica that it was before. */
  private record Made(Volume volume, UUID domainBefore) {}

  public Attacher(Volumes volumes, Peers peers, Forks forks, OpenTakeovers open) {
    this.volumes = volumes;
    this.peers = peers;
    this.owners = new OwnerSearch(volumes, peers, forks);
    this.space = new SpaceCheck(volumes, peers);
    this.records = new StandbyRecords(volumes);
    this.standbys = new StandbyDrop(volumes, open, records);
  }

  /**
   * Attaches what isn't served here yet. A volume that just changes hands is looked at again for
   * some seconds.
   *
   * @return fails with a ProblemException that says why the domain can't run here
   */
  public CompletableFuture<Void> attach(AttachStandby request) {
    PreCopyMode preCopy = preCopy(request);
    return look(request, LOOKS)
        .thenRun(
            () -> {
              if (preCopy != null) {
                request.volumes().stream()
                    .map(volumes::byName)
                    .filter(here -> here != null && here.record().state() == VolumeState.STANDBY)
                    .forEach(standby -> standby.preCopy().mode(preCopy));
              }
            });
  }

  private static PreCopyMode preCopy(AttachStandby request) {
    try {
      return request.preCopy() == null ? null : PreCopyMode.parse(request.preCopy());
    } catch (IllegalArgumentException e) {
      throw new ProblemException(Problem.Code.BAD_REQUEST, e.getMessage());
    }
  }

  private CompletableFuture<Void> look(AttachStandby request, int looks) {
    return lookOnce(request)
        .exceptionallyCompose(
            error -> {
              if (!(cause(error) instanceof ChangingHandsException changing)) {
                return CompletableFuture.failedFuture(cause(error));
              }
              if (looks <= 1) {
                return CompletableFuture.failedFuture(changing.getCause());
              }
              log.info("looking again in {} ms: {}", LOOK_AGAIN.toMillis(), changing.getMessage());
              CompletableFuture<Void> later = new CompletableFuture<>();
              volumes.shared().loop().after(LOOK_AGAIN, () -> later.complete(null));
              return later.thenCompose(now -> look(request, looks - 1));
            });
  }

  private CompletableFuture<Void> lookOnce(AttachStandby request) {
    return ownersOf(request)
        .thenCompose(
            owned ->
                owned.isEmpty()
                    ? CompletableFuture.completedFuture(null)
                    : space.check(owned).thenCompose(ok -> attachAll(owned, request.domain())))
        // Not before: a volume here that only has the name of the one wanted is none of its.
        .thenRun(() -> noteDomain(request));
  }

  /**
   * What {@link #attach} would refuse, a sentence each: the same questions and the same answers, up
   * to where a replica would be made. Unlike it, it goes on after the first one, volume by volume,
   * and looks once.
   *
   * @return never fails with a ProblemException
   */
  public CompletableFuture<List<String>> check(AttachStandby request) {
    List<String> problems = new ArrayList<>();
    List<Found> owned = new ArrayList<>();
    CompletableFuture<Void> chain = CompletableFuture.completedFuture(null);
    for (String name : request.volumes().stream().distinct().toList()) {
      AttachStandby one = new AttachStandby(request.domain(), List.of(name), request.owner());
      chain =
          chain.thenCompose(
              done -> collect(problems, () -> ownersOf(one).thenAccept(owned::addAll)));
    }
    return chain
        .thenCompose(done -> collect(problems, () -> space.check(owned)))
        .thenApply(done -> problems);
  }

  /** Runs a step; what it refuses becomes one of the problems. */
  private static CompletableFuture<Void> collect(
      List<String> problems, Supplier<CompletableFuture<Void>> step) {
    // Composed, because a step may throw as well as fail.
    return CompletableFuture.completedFuture(null)
        .thenCompose(now -> step.get())
        .exceptionally(
            error -> {
              Throwable cause = cause(error);
              if (cause instanceof ProblemException || cause instanceof ChangingHandsException) {
                problems.add(cause.getMessage());
                return null;
              }
              throw new CompletionException(cause);
            });
  }

  private static Throwable cause(Throwable error) {
    return error instanceof CompletionException ? error.getCause() : error;
  }

  /**
   * The owners to attach to, of all volumes that aren't rightly served here already. Changes
   * nothing.
   *
   * @throws ProblemException if a name or the replica here is in the way; else the future fails
   */
  private CompletableFuture<List<Found>> ownersOf(AttachStandby request) {
    request.volumes().forEach(this::checkUsable);
    List<String> wanted =
        request.volumes().stream()
            .distinct()
            .filter(name -> owners.mustAsk(name, request.owner()))
            .toList();
    if (wanted.isEmpty()) {
      return CompletableFuture.completedFuture(List.of());
    }
    return owners
        .locate(wanted, request.owner())
        .thenApply(
            answers -> {
              List<Found> owned = new ArrayList<>();
              for (String name : wanted) {
                Found found = owners.choose(name, answers, request.owner());
                if (found != null) {
                  owned.add(found);
                }
              }
              return owned;
            });
  }

  /**
   * Whether {@link #attach} of one volume would find an owner and room now. Changes nothing.
   *
   * @return fails with the ProblemException that says why not
   */
  public CompletableFuture<Void> check(String name) {
    return ownersOf(new AttachStandby(null, List.of(name), null))
        .thenCompose(space::check)
        .exceptionallyCompose(
            error -> {
              Throwable cause = cause(error);
              return CompletableFuture.failedFuture(
                  cause instanceof ChangingHandsException ? cause.getCause() : cause);
            });
  }

  private void checkUsable(String name) {
    VolumeName.check(name);
    if (volumes.broken(name) != null) {
      throw new ProblemException(Problem.Code.INTERNAL, volumes.broken(name));
    }
    Volume here = volumes.byName(name);
    if (here != null && here.isForked()) {
      throw new ProblemException(Problem.Code.REFUSED, here.record().forkSentence());
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
    return standbys.drop(domain);
  }

  private CompletableFuture<Void> attachAll(List<Found> owned, UUID domain) {
    List<Made> made = new ArrayList<>();
    CompletableFuture<Void> chain = CompletableFuture.completedFuture(null);
    for (Found each : owned) {
      chain = chain.thenCompose(previous -> attachOne(each, domain, made));
    }
    return chain.exceptionallyCompose(
        error -> undo(made).thenCompose(undone -> CompletableFuture.failedFuture(cause(error))));
  }

  /** Completed when nothing is left behind, as far as that is possible. Never fails. */
  private CompletableFuture<Void> undo(List<Made> made) {
    return CompletableFuture.allOf(
        made.stream()
            .map(
                each ->
                    standbys
                        .undo(each.volume(), each.domainBefore())
                        .exceptionally(
                            error -> {
                              VolumeRecord record = each.volume().record();
                              VolumeLog.about(log.atWarn(), record)
                                  .log(
                                      "volume {}: the standby could not be dropped: {}",
                                      record.name(),
                                      error.getMessage());
                              return null;
                            }))
            .toArray(CompletableFuture[]::new));
  }

  private CompletableFuture<Void> attachOne(Found owned, UUID domain, List<Made> made) {
    Replica replica = owned.replica();
    Volume here = volumes.byName(replica.getName());
    Attach.Builder attach = Attach.newBuilder().setUuid(replica.getUuid());
    if (here != null && here.record().held() != VolumeRecord.Held.NONE) {
      attach.setEpoch(WireIds.epoch(here.record().epoch()));
    } else if (here != null) {
      attach.setPreCopy(here.preCopy().session());
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
                if (here.record().state() == VolumeState.RELEASED) {
                  made.add(new Made(here, here.record().domain()));
                }
                return records.change(here, () -> standbyAgain(here.record(), epoch, domain));
              }
              return addStandby(confirmed, domain, made);
            });
  }

  /**
   * The volume was extended since this replica was its owner's: of a copy of the old size nothing
   * counts. The owner grows only when it holds everything, so nobody reads the copy.
   */
  private CompletableFuture<Void> replaceGrown(
      Volume here, Replica confirmed, UUID domain, List<Made> made) {
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

  private CompletableFuture<Void> addStandby(Replica confirmed, UUID domain, List<Made> made) {
    return volumes
        .add(
            VolumeRecord.standby(
                confirmed.getName(),
                WireIds.uuid(confirmed.getUuid()),
                confirmed.getSize(),
                WireIds.epoch(confirmed.getEpoch()),
                domain))
        .thenAccept(standby -> made.add(new Made(standby, null)));
  }

  private static VolumeRecord standbyAgain(VolumeRecord record, Epoch epoch, UUID domain) {
    return switch (record.state()) {
      case RELEASED -> record.attached(epoch, domain);
      case STANDBY -> record.reattached(epoch, domain);
      case SERVING, FETCHING, FORKED -> null;
    };
  }

  private static RuntimeException refused(String name, String node, Throwable error) {
    Throwable cause = cause(error);
    RefusedException refused = cause instanceof RefusedException refusal ? refusal : null;
    ProblemException problem =
        new ProblemException(
            refused != null ? Problem.Code.REFUSED : Problem.Code.OWNER_UNREACHABLE,
            "volume "
                + name
                + " can't be attached to its owner, node "
                + node
                + ": "
                + cause.getMessage());
    // It was the owner a moment ago, or is about to become it.
    boolean changing =
        refused != null
            && (refused.code() == Refused.Code.NOT_OWNER || refused.code() == Refused.Code.BUSY);
    return changing ? new ChangingHandsException(problem) : problem;
  }
}
