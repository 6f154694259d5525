// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.handover;

import io.vmferry.api.Epoch;
import io.vmferry.api.Problem;
import io.vmferry.api.ProblemException;
import io.vmferry.api.VolumeState;
import io.vmferry.relay.handover.Locator.Answers;
import io.vmferry.relay.handover.Locator.Found;
import io.vmferry.relay.volume.Volume;
import io.vmferry.relay.volume.VolumeLog;
import io.vmferry.relay.volume.VolumeRecord;
import io.vmferry.relay.volume.Volumes;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.stream.LongStream;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Makes a replica the owner by force, for an operator who knows that the owner is lost: in a new
 * epoch, with what the replica holds, without the owner's consent.
 *
 * <p>This is the one way in which a volume can get two owners. It is refused while the owner can be
 * asked; an owner that comes back later finds the higher epoch and parks its replica ({@link
 * Forks}). Loop only.
 */
public final class Promotion {
  private static final Logger log = LoggerFactory.getLogger(Promotion.class);

  private final Volumes volumes;
  private final Peers peers;
  private final Locator locator;

  public Promotion(Volumes volumes, Peers peers) {
    this.volumes = volumes;
    this.peers = peers;
    this.locator = new Locator(volumes.shared().loop());
  }

  /**
   * Promotes.
   *
   * @param force whether to do it; otherwise it fails with REFUSED and says what would be lost
   * @return fails with REFUSED if it can't or need not be done
   */
  public CompletableFuture<Void> promote(Volume volume, boolean force) {
    check(volume);
    return locator
        .ask(peers.links(), List.of(volume.record().name()))
        .thenCompose(
            answers -> {
              check(volume);
              checkOwnerIsLost(volume, answers);
              String losses = losses(volume, answers);
              if (!force) {
                throw refused(losses + "; nothing was changed, --force does it");
              }
              return commit(volume, nextEpoch(volume, answers), losses);
            });
  }

  /** What this node knows itself. */
  private void check(Volume volume) {
    VolumeRecord record = volume.record();
    String name = "volume " + record.name();
    if (volume.failure() != null) {
      throw refused(volume.failure());
    }
    if (volume.isOwner()) {
      throw refused(name + " is owned by this node already; there is nothing to promote");
    }
    if (record.held() == VolumeRecord.Held.NONE) {
      throw refused(
          name
              + " is only a standby here and holds nothing; look for a copy on other nodes, or"
              + " restore a backup");
    }
    if (record.held() != VolumeRecord.Held.ALL) {
      long missing = record.size() - volume.status().present();
      throw refused(
          name
              + " lacks "
              + missing
              + " bytes here, which would read as anything: this copy can't be promoted; what it"
              + " has is in the file data of the volume, with holes for what is missing");
    }
    if (record.state() == VolumeState.STANDBY && volume.clients() > 0) {
      throw refused(
          name
              + " is read here from its owner by "
              + volume.describeClients()
              + ", which would see another content from now on; shut that down first");
    }
  }

  /** What the other nodes know. */
  private void checkOwnerIsLost(Volume volume, Answers answers) {
    VolumeRecord record = volume.record();
    Found owner = answers.owner(record.name());
    if (owner != null && owner.isOf(record.uuid())) {
      throw refused(
          "volume "
              + record.name()
              + " is owned by node "
              + owner.node()
              + " in epoch "
              + owner.number()
              + ", which can be reached: migrate the VM from there, or shut it down there and start"
              + " it here; nothing has to be forced");
    }
    answers
        .of(record.name())
        .filter(found -> found.isOf(record.uuid()) && found.is(VolumeState.RELEASED))
        .filter(found -> found.number() > record.epoch().number())
        .findFirst()
        .ifPresent(
            newer -> {
              throw refused(
                  "volume "
                      + record.name()
                      + " was released by node "
                      + newer.node()
                      + " in epoch "
                      + newer.number()
                      + ", later than by this node: if it must be forced, promote that copy");
            });
  }

  /** Above all epochs that any node knows, so that whoever compares finds the later one here. */
  private Epoch nextEpoch(Volume volume, Answers answers) {
    VolumeRecord record = volume.record();
    LongStream others =
        answers
            .of(record.name())
            .filter(found -> found.isOf(record.uuid()))
            .mapToLong(Found::number);
    long rival = record.rival() == null ? 0 : record.rival().number();
    long highest =
        LongStream.concat(others, LongStream.of(record.epoch().number(), rival))
            .max()
            .orElseThrow();
    return new Epoch(highest + 1, peers.self());
  }

  private static String losses(Volume volume, Answers answers) {
    VolumeRecord record = volume.record();
    String unreachable =
        answers.unreachable().isEmpty()
            ? ""
            : " (no answer from " + String.join(", ", answers.unreachable()) + ")";
    if (volume.isForked()) {
      return "volume "
          + record.name()
          + " was also owned by node "
          + record.rival().owner()
          + " in epoch "
          + record.rival().number()
          + unreachable
          + ": what was written there is lost to this copy";
    }
    VolumeRecord.Release release = record.release();
    Epoch owner = record.epoch();
    boolean known = release != null && release.to().equals(owner);
    return "volume "
        + record.name()
        + " is owned by node "
        + owner.owner()
        + " in epoch "
        + owner.number()
        + (known ? " since " + seconds(release.at()) : "")
        + unreachable
        + ": whatever was written there is lost, and if that node comes back its copy is parked;"
        + " this copy is as of the handover "
        + (release == null
            ? "from this node"
            : "to node " + release.to().owner() + " at " + seconds(release.at()));
  }

  private static Instant seconds(Instant time) {
    return time.truncatedTo(ChronoUnit.SECONDS);
  }

  private CompletableFuture<Void> commit(Volume volume, Epoch epoch, String losses) {
    CompletableFuture<Void> result = new CompletableFuture<>();
    Epoch before = volume.record().epoch();
    volumes
        .commits()
        .<VolumeRecord>submit(
            () -> {
              VolumeRecord now = volume.record();
              boolean same =
                  volumes.byName(now.name()) == volume
                      && now.epoch().equals(before)
                      && now.held() == VolumeRecord.Held.ALL
                      && !volume.isOwner();
              if (!same) {
                return null;
              }
              VolumeRecord retained = now.state() == VolumeState.STANDBY ? now.dropped() : now;
              VolumeRecord promoted = retained.promoted(epoch);
              return () -> {
                volumes.shared().storage().commit(List.of(promoted));
                return promoted;
              };
            },
            (promoted, error) -> {
              if (error != null) {
                result.completeExceptionally(
                    Volumes.storageProblem(
                        "volume " + volume.record().name() + " can't be promoted", error));
              } else if (promoted == null) {
                result.completeExceptionally(
                    refused("volume " + volume.record().name() + " changed meanwhile; look again"));
              } else {
                VolumeLog.about(log.atWarn(), promoted)
                    .log("promoted by force to epoch {}: {}", epoch, losses);
                volume.setTrouble(null);
                volume.become(promoted);
                result.complete(null);
              }
            });
    return result;
  }

  private static ProblemException refused(String message) {
    return new ProblemException(Problem.Code.REFUSED, message);
  }
}
