// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.handover;

import io.vmferry.api.Problem;
import io.vmferry.api.ProblemException;
import io.vmferry.api.VolumeState;
import io.vmferry.relay.volume.Volume;
import io.vmferry.relay.volume.VolumeRecord;
import io.vmferry.relay.volume.Volumes;
import java.io.IOException;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;

/**
 * Makes a volume larger, at its owner. A guest that is running goes on with the size that its QEMU
 * was told, and sees the new one when it opens the volume again.
 *
 * <p>Copies at other nodes have the old size. A standby there could be the destination of a
 * migration under way: then nothing is done. One that can't be asked now is refused when it wants
 * to take over. Loop only.
 */
public final class Extension {
  private final Volumes volumes;
  private final Peers peers;
  private final OwnerHandover handover;
  private final Locator locator;

  /** Volumes that are about to grow: no standby is attached to them. */
  private final Map<Volume, Growth> growing = new HashMap<>();

  /** An extension under way; asked for again, it is the same one. */
  private record Growth(long size, CompletableFuture<Void> done) {}

  public Extension(Volumes volumes, Peers peers, OwnerHandover handover) {
    this.volumes = volumes;
    this.peers = peers;
    this.handover = handover;
    this.locator = new Locator(volumes.shared().loop());
  }

  /** Whether the volume is about to have another size. */
  boolean isGrowing(Volume volume) {
    return growing.containsKey(volume);
  }

  /**
   * Makes the volume {@code size} bytes large; done already if it is. Fails with BAD_REQUEST,
   * REFUSED or NO_SPACE.
   */
  CompletableFuture<Void> extend(Volume volume, long size) {
    if (size == volume.record().size() && volume.isOwner()) {
      return CompletableFuture.completedFuture(null);
    }
    checkSize(volume, size);
    ProblemException problem = inTheWay(volume);
    if (problem != null) {
      throw problem;
    }
    Growth other = growing.get(volume);
    if (other != null && other.size() != size) {
      throw refused(volume, "is being extended already, to " + other.size() + " bytes; try again");
    }
    return other != null ? other.done() : begin(volume, size);
  }

  private CompletableFuture<Void> begin(Volume volume, long size) {
    Growth growth = new Growth(size, new CompletableFuture<>());
    growing.put(volume, growth);
    var unused =
        growOnceNoStandby(volume, size)
            .whenComplete(
                (nothing, error) -> {
                  growing.remove(volume);
                  if (error == null) {
                    growth.done().complete(null);
                  } else {
                    growth.done().completeExceptionally(error);
                  }
                });
    return growth.done();
  }

  private CompletableFuture<Void> growOnceNoStandby(Volume volume, long size) {
    return locator
        .ask(peers.links(), List.of(volume.record().name()))
        .thenCompose(
            answers -> {
              checkNoStandby(volume, answers);
              return grow(volume, size);
            });
  }

  private static void checkSize(Volume volume, long size) {
    VolumeRecord record = volume.record();
    if (size < record.size() || size > Volumes.MAX_SIZE) {
      throw new ProblemException(
          Problem.Code.BAD_REQUEST,
          "volume "
              + record.name()
              + " has "
              + record.size()
              + " bytes and can't have "
              + size
              + "; volumes only grow, up to 16 TiB");
    }
  }

  /** Why the volume can't grow now, or null. */
  private ProblemException inTheWay(Volume volume) {
    VolumeRecord record = volume.record();
    if (volume.failure() != null) {
      return new ProblemException(Problem.Code.REFUSED, volume.failure());
    }
    if (record.state() == VolumeState.FETCHING) {
      return refused(
          volume,
          "is still copied from "
              + (record.source() == null ? "node " + record.origin().node() : record.source().uri())
              + "; try again when 'vmferry status' shows it complete");
    }
    if (record.state() != VolumeState.SERVING) {
      return refused(volume, "is not owned by node " + peers.self() + "; ask its owner");
    }
    if (handover.isBusy(volume)) {
      return refused(volume, "is being taken over by another node; try again");
    }
    return null;
  }

  private static void checkNoStandby(Volume volume, Locator.Answers answers) {
    answers
        .of(volume.record().name())
        .filter(found -> found.isOf(volume.record().uuid()) && found.is(VolumeState.STANDBY))
        .findFirst()
        .ifPresent(
            found -> {
              throw refused(
                  volume,
                  "is attached at node "
                      + found.node()
                      + ", to which its guest may be on the way; try again when it has arrived");
            });
  }

  private CompletableFuture<Void> grow(Volume volume, long size) {
    ProblemException problem = inTheWay(volume);
    if (problem != null) {
      throw problem;
    }
    CompletableFuture<Void> result = new CompletableFuture<>();
    // A standby that could not be asked may ask for the volume with its old size.
    handover.reserve(volume);
    var unused = result.whenComplete((nothing, error) -> handover.free(volume));
    Quiet quiet = new Quiet(List.of(volume));
    quiet.whenReached(
        error -> {
          if (error != null) {
            quiet.end();
            result.completeExceptionally(cantExtend(volume, error));
          } else {
            commit(volume, size, quiet, result);
          }
        });
    return result;
  }

  private void commit(Volume volume, long size, Quiet quiet, CompletableFuture<Void> result) {
    volumes
        .commits()
        .<VolumeRecord>submit(
            () -> {
              if (!quiet.lasts()) {
                return null;
              }
              VolumeRecord before = volume.record();
              VolumeRecord grown = before.grown(size);
              return () -> {
                volumes.shared().storage().grow(before, grown);
                return grown;
              };
            },
            (grown, error) -> {
              if (error != null) {
                quiet.end();
                result.completeExceptionally(cantExtend(volume, error));
              } else if (grown == null) {
                quiet.end();
                result.completeExceptionally(refused(volume, "changed meanwhile; try again"));
              } else {
                volume.grow(grown);
                result.complete(null);
              }
            });
  }

  private static ProblemException cantExtend(Volume volume, IOException error) {
    return Volumes.storageProblem("volume " + volume.record().name() + " can't be extended", error);
  }

  private static ProblemException refused(Volume volume, String why) {
    return new ProblemException(
        Problem.Code.REFUSED, "volume " + volume.record().name() + " " + why);
  }
}
