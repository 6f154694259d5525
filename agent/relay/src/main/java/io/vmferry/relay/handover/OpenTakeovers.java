// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.handover;

import io.vmferry.api.Problem;
import io.vmferry.api.ProblemException;
import io.vmferry.api.VolumeState;
import io.vmferry.relay.peer.WireIds;
import io.vmferry.relay.peer.wire.Detach;
import io.vmferry.relay.peer.wire.Frame;
import io.vmferry.relay.peer.wire.Refused;
import io.vmferry.relay.volume.Volume;
import io.vmferry.relay.volume.VolumeLog;
import io.vmferry.relay.volume.VolumeRecord;
import io.vmferry.relay.volume.Volumes;
import java.util.HashSet;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.function.Consumer;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Takeovers that were asked for here and whose answer is not known.
 *
 * <p>Such a standby may be the owner already: the other node may have released the volume to it,
 * durably, and the answer was lost. Given up, it would leave a volume without owner. So the other
 * node is asked first; until it has answered, the standby stays. A process that starts does not
 * know what the one before it asked for: it takes all its standbys for open. Loop only.
 */
public final class OpenTakeovers {
  private static final Logger log = LoggerFactory.getLogger(OpenTakeovers.class);

  private final Volumes volumes;
  private final Peers peers;
  private final Set<Volume> open = new HashSet<>();
  private Consumer<Volume> granted = volume -> {};

  public OpenTakeovers(Volumes volumes, Peers peers) {
    this.volumes = volumes;
    this.peers = peers;
  }

  /** At start: what an earlier process may have asked for. */
  public void start() {
    volumes.all().stream()
        .filter(volume -> volume.record().state() == VolumeState.STANDBY)
        .forEach(open::add);
  }

  /**
   * @param action what to do with a volume that its owner says was released to this node
   */
  void onGranted(Consumer<Volume> action) {
    granted = action;
  }

  /** A takeover is about to be asked for. */
  void asked(Volume volume) {
    open.add(volume);
  }

  /** It is known what became of it, or the volume is no standby any more. */
  void closed(Volume volume) {
    open.remove(volume);
  }

  /** Whether the standby may have been made owner. */
  boolean isOpen(Volume volume) {
    return volume.record().state() == VolumeState.STANDBY && open.contains(volume);
  }

  /**
   * Makes sure that a standby was not made owner, so that it may go.
   *
   * @return fails with OWNER_UNREACHABLE if that is not known, with REFUSED if it was: then the
   *     takeover is completed
   */
  CompletableFuture<Void> close(Volume standby) {
    if (!isOpen(standby)) {
      open.remove(standby);
      return CompletableFuture.completedFuture(null);
    }
    VolumeRecord record = standby.record();
    String owner = record.epoch().owner();
    return detach(record)
        .handle(
            (answer, error) -> {
              if (error == null) {
                open.remove(standby);
                return null;
              }
              throw notClosed(standby, owner, error);
            });
  }

  /**
   * A standby that copied is gone: the owner need not note any more what changes. Best effort; at
   * its next handover the owner forgets it anyway.
   */
  void tellGone(VolumeRecord standby) {
    var unused =
        detach(standby)
            .exceptionally(
                error -> {
                  log.debug("the owner of {} was not told: {}", standby.name(), error.getMessage());
                  return null;
                });
  }

  private CompletableFuture<Frame> detach(VolumeRecord standby) {
    Detach question =
        Detach.newBuilder()
            .setUuid(WireIds.bytes(standby.uuid()))
            .setKeepsReplica(standby.held() != VolumeRecord.Held.NONE)
            .build();
    return ControlCall.ask(
        peers.link(standby.epoch().owner()),
        Frame.newBuilder().setDetach(question).build(),
        volumes.shared().loop(),
        (answer, payload) -> answer);
  }

  private ProblemException notClosed(Volume standby, String owner, Throwable error) {
    Throwable cause = error instanceof CompletionException ? error.getCause() : error;
    String name = standby.record().name();
    boolean isOwner =
        cause instanceof RefusedException refused && refused.code() == Refused.Code.RELEASED;
    if (isOwner) {
      VolumeLog.about(log.atWarn(), standby.record(), owner)
          .log("volume {} was released to this node, which gave it up: completing that", name);
      granted.accept(standby);
    }
    return isOwner
        ? new ProblemException(
            Problem.Code.REFUSED,
            "volume " + name + " was released to this node by node " + owner + " and is taken over")
        : new ProblemException(
            Problem.Code.OWNER_UNREACHABLE,
            "whether volume "
                + name
                + " was released to this node is not known: node "
                + owner
                + " does not say: "
                + cause.getMessage()
                + "; the standby stays until it does");
  }
}
