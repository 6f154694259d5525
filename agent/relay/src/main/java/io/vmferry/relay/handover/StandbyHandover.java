// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.handover;

import io.netty.buffer.ByteBuf;
import io.vmferry.api.AttachStandby;
import io.vmferry.api.Epoch;
import io.vmferry.api.VolumeState;
import io.vmferry.relay.map.BlockMap;
import io.vmferry.relay.map.MalformedMapException;
import io.vmferry.relay.map.Runs;
import io.vmferry.relay.map.StaleMapCodec;
import io.vmferry.relay.peer.PeerLink;
import io.vmferry.relay.peer.WireIds;
import io.vmferry.relay.peer.wire.Frame;
import io.vmferry.relay.peer.wire.Refused;
import io.vmferry.relay.peer.wire.TakenOver;
import io.vmferry.relay.peer.wire.Takeover;
import io.vmferry.relay.volume.Volume;
import io.vmferry.relay.volume.VolumeLog;
import io.vmferry.relay.volume.VolumeRecord;
import io.vmferry.relay.volume.VolumeStorage;
import io.vmferry.relay.volume.Volumes;
import java.io.IOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Phase 5 at the destination: asks the owner for the volumes of a domain, makes the answer durable,
 * and lets the held requests go.
 *
 * <p>Begins with the first write of the guest here, or when the agent saw it resume. It is asked
 * again until it is granted or nobody here wants it any more; the owner gives the same answer again
 * if the first was lost. What was granted is taken over in any case. A refusal holds the guest's
 * requests; it never fails them. Loop only.
 */
public final class StandbyHandover {
  private static final Logger log = LoggerFactory.getLogger(StandbyHandover.class);

  /** The owner can't tell yet whether its guest has stopped: it will soon. */
  private static final Duration RETRY_SOON = Duration.ofMillis(100);

  /** The owner says no, or can't be reached: somebody has to do something. */
  private static final Duration RETRY_LATER = Duration.ofSeconds(1);

  /** How long the agent's word that a domain runs here counts; it asks again after 20 seconds. */
  private static final Duration WISH = Duration.ofSeconds(30);

  private final Volumes volumes;
  private final Peers peers;
  private final Attacher attacher;
  private final OpenTakeovers open;

  /** Volumes for which an attempt is under way or will be repeated, and since when. */
  private final Map<Volume, Long> underWay = new HashMap<>();

  /**
   * Volumes that were released to this node: they are taken over even if nobody here wants them any
   * more, because otherwise they would have no owner.
   */
  private final Set<Volume> adopting = new HashSet<>();

  /** Volumes whose last attempt found a changed owner; a second time in a row has to wait. */
  private final Set<Volume> attachedAgain = new HashSet<>();

  /** Domains that the agent saw running here. */
  private final Map<UUID, Wish> running = new HashMap<>();

  /** The agent's wish; it lasts for a while, and the agent repeats it as long as it is true. */
  private record Wish(CompletableFuture<Void> done, long until) {}

  /** One volume as the owner released it. */
  private record Granted(Volume volume, Epoch epoch, BlockMap stale) {}

  /** The same with what this replica then holds. */
  private record Planned(Granted granted, BlockMap held) {}

  /** What was made durable for one volume. */
  private record Prepared(
      Granted granted, VolumeRecord record, VolumeStorage.HeldMaps maps, BlockMap originStale) {}

  public StandbyHandover(Volumes volumes, Peers peers, Attacher attacher, OpenTakeovers open) {
    this.volumes = volumes;
    this.peers = peers;
    this.attacher = attacher;
    this.open = open;
    open.onGranted(this::adopt);
  }

  /** A guest here wants to write to a volume that is owned elsewhere. */
  public void wanted(Volume volume) {
    if (underWay.containsKey(volume)) {
      return;
    }
    UUID domain = volume.record().domain();
    String owner = volume.record().epoch().owner();
    List<Volume> group = new ArrayList<>();
    for (Volume other : volumes.all()) {
      boolean sameDomain =
          other == volume || (domain != null && domain.equals(other.record().domain()));
      if (sameDomain
          && !other.isOwner()
          && other.record().epoch().owner().equals(owner)
          && underWay.putIfAbsent(other, volumes.shared().loop().nanoTime()) == null) {
        group.add(other);
      }
    }
    attempt(group);
  }

  /**
   * The agent saw the domain run here: take over all its volumes that are owned elsewhere.
   *
   * @return completed when this node owns them
   */
  public CompletableFuture<Void> domainRuns(UUID domain) {
    List<Volume> elsewhere = volumes.ownedElsewhere(domain);
    if (elsewhere.isEmpty()) {
      return CompletableFuture.completedFuture(null);
    }
    long until = volumes.shared().loop().nanoTime() + WISH.toNanos();
    CompletableFuture<Void> done =
        running
            .merge(
                domain,
                new Wish(new CompletableFuture<>(), until),
                (before, now) -> new Wish(before.done(), until))
            .done();
    elsewhere.forEach(this::wanted);
    return done;
  }

  /**
   * The owner says that it released the volume to this node, which does not know it: the answer was
   * lost, and nobody here wants it any more. Takes over all the same, so that there is an owner
   * again, from whom the volume can be taken back.
   */
  void adopt(Volume volume) {
    if (adopting.add(volume)) {
      wanted(volume);
    }
  }

  private void attempt(List<Volume> group) {
    group.removeIf(volume -> !stillWanted(volume));
    if (group.isEmpty()) {
      return;
    }
    for (Volume volume : group) {
      if (volume.record().state() == VolumeState.RELEASED) {
        attachFirst(group);
        return;
      }
    }
    Takeover.Builder takeover = Takeover.newBuilder();
    for (Volume volume : group) {
      takeover.addVolumes(
          Takeover.Volume.newBuilder()
              .setUuid(WireIds.bytes(volume.record().uuid()))
              .setEpoch(WireIds.epoch(volume.record().epoch()))
              .setSize(volume.record().size()));
    }
    PeerLink owner = peers.link(group.get(0).record().epoch().owner());
    group.forEach(open::asked);
    var unused =
        ControlCall.ask(
                owner,
                Frame.newBuilder().setTakeover(takeover).build(),
                volumes.shared().loop(),
                (answer, payload) -> decode(group, answer.getTakenOver(), payload))
            .whenComplete(
                (granted, error) -> {
                  if (error == null) {
                    adopting.addAll(group);
                    quiesce(group, owner.node(), granted);
                  } else {
                    refused(group, owner, error);
                  }
                });
  }

  /** Whether it is not ours yet and somebody here waits for it; otherwise it is forgotten. */
  private boolean stillWanted(Volume volume) {
    UUID domain = volume.record().domain();
    boolean wanted =
        !volume.isOwner()
            && volumes.byName(volume.record().name()) == volume
            && (isAdopted(volume)
                || volume.hasParkedRequests()
                || (domain != null && wantedByDomain(domain)));
    if (!wanted) {
      underWay.remove(volume);
      adopting.remove(volume);
      volume.setTrouble(null);
      finishDomain(domain);
    }
    return wanted;
  }

  private boolean isAdopted(Volume volume) {
    return adopting.contains(volume) && volume.record().state() == VolumeState.STANDBY;
  }

  /** One volume's write takes the others of the domain along. */
  private boolean wantedByDomain(UUID domain) {
    Wish wish = running.get(domain);
    boolean wished = wish != null && wish.until() - volumes.shared().loop().nanoTime() > 0;
    return wished || volumes.ownedElsewhere(domain).stream().anyMatch(Volume::hasParkedRequests);
  }

  private void finishDomain(UUID domain) {
    if (domain == null) {
      return;
    }
    if (volumes.ownedElsewhere(domain).isEmpty()) {
      Wish wish = running.remove(domain);
      if (wish != null) {
        wish.done().complete(null);
      }
    } else if (!wantedByDomain(domain)) {
      running.remove(domain);
    }
  }

  /**
   * A guest at a released replica goes on: roll-back. It reads as a standby until it owns again.
   */
  private void attachFirst(List<Volume> group) {
    Volume first = group.get(0);
    List<String> names = group.stream().map(volume -> volume.record().name()).toList();
    CompletableFuture<Void> attached;
    try {
      attached =
          attacher.attach(
              new AttachStandby(first.record().domain(), names, first.record().epoch().owner()));
    } catch (RuntimeException e) {
      attached = CompletableFuture.failedFuture(e);
    }
    var unused =
        attached.whenComplete(
            (done, error) -> {
              if (error == null) {
                attempt(group);
              } else {
                again(group, RETRY_LATER, message(error));
              }
            });
  }

  private List<Granted> decode(List<Volume> group, TakenOver answer, ByteBuf payload)
      throws MalformedMapException {
    List<Granted> granted = new ArrayList<>();
    ByteBuf maps = payload.duplicate();
    for (TakenOver.Volume each : answer.getVolumesList()) {
      UUID uuid = WireIds.uuid(each.getUuid());
      Volume volume =
          group.stream()
              .filter(candidate -> candidate.record().uuid().equals(uuid))
              .findFirst()
              .orElseThrow(() -> new IllegalArgumentException("the owner released " + uuid));
      if (granted.stream().anyMatch(before -> before.volume() == volume)) {
        throw new IllegalArgumentException("the owner released " + uuid + " twice");
      }
      Epoch epoch = WireIds.epoch(each.getEpoch());
      if (!epoch.owner().equals(peers.self())
          || epoch.number() != volume.record().epoch().number() + 1
          || each.getStaleMapLength() > maps.readableBytes()) {
        throw new IllegalArgumentException("the owner's answer names epoch " + epoch);
      }
      BlockMap stale =
          StaleMapCodec.decode(maps.readSlice(each.getStaleMapLength()), volume.grid().blocks());
      granted.add(new Granted(volume, epoch, stale));
    }
    if (granted.size() != group.size()) {
      throw new IllegalArgumentException("the owner released " + granted.size() + " volumes");
    }
    return granted;
  }

  /**
   * Stores of an earlier fetch mode end first: they would note blocks in the new epoch's journal.
   */
  private void quiesce(List<Volume> group, String origin, List<Granted> granted) {
    Quiet quiet = new Quiet(group);
    quiet.whenReached(
        error -> {
          if (error == null) {
            commit(group, origin, granted, quiet);
          } else {
            notDurable(group, quiet, error);
          }
        });
  }

  private void notDurable(List<Volume> group, Quiet quiet, Throwable error) {
    quiet.end();
    again(group, RETRY_LATER, "the takeover can't be made durable: " + message(error));
  }

  private boolean stillHere(Granted granted) {
    Volume volume = granted.volume();
    return volumes.byName(volume.record().name()) == volume
        && volume.failure() == null
        && volume.record().state() == VolumeState.STANDBY
        && volume.record().epoch().next(peers.self()).equals(granted.epoch());
  }

  private void commit(List<Volume> group, String origin, List<Granted> granted, Quiet quiet) {
    long grantedAt = volumes.shared().loop().nanoTime();
    volumes
        .commits()
        .submit(
            () -> {
              if (!quiet.lasts() || !granted.stream().allMatch(this::stillHere)) {
                return null;
              }
              // What is held is read here, on the loop, at this change's turn.
              List<Planned> planned =
                  granted.stream().map(each -> new Planned(each, heldAfter(each))).toList();
              return () -> prepare(planned, origin);
            },
            (prepared, error) -> {
              if (error != null) {
                notDurable(group, quiet, error);
              } else if (prepared == null) {
                quiet.end();
                again(group, RETRY_SOON, "the volume changed during the takeover");
              } else {
                prepared.forEach(each -> apply(each, origin));
                logDuration(group.get(0), origin, grantedAt);
                group.forEach(this::finish);
              }
            });
  }

  /** What is held and not stale at the owner. */
  private static BlockMap heldAfter(Granted granted) {
    BlockMap held = granted.volume().heldSnapshot();
    Runs.forEach(
        granted.stale(),
        0,
        granted.stale().blocks(),
        true,
        (from, to) -> {
          held.clear(from, to);
          return true;
        });
    return held;
  }

  /** On a disk thread. The records come last: they make the maps count. */
  private List<Prepared> prepare(List<Planned> planned, String origin) throws IOException {
    List<Prepared> prepared = new ArrayList<>();
    for (Planned plan : planned) {
      Granted each = plan.granted();
      VolumeRecord record = each.volume().record().takenOver(each.epoch(), origin);
      VolumeStorage storage = volumes.shared().storage();
      prepared.add(
          new Prepared(
              each,
              record,
              storage.beginFetching(record, each.epoch(), plan.held()),
              storage.staleMap(record, origin, true)));
    }
    volumes.shared().storage().commit(prepared.stream().map(Prepared::record).toList());
    return prepared;
  }

  private static void apply(Prepared prepared, String origin) {
    Volume volume = prepared.granted().volume();
    volume.setTrouble(null);
    volume.takeOver(
        prepared.record(),
        prepared.maps().journal(),
        prepared.maps().live(),
        origin,
        prepared.originStale());
  }

  /** What the guest waited for: the first question to look at when a move was not smooth. */
  private void logDuration(Volume volume, String origin, long grantedAt) {
    long now = volumes.shared().loop().nanoTime();
    VolumeLog.about(log.atInfo(), volume.record(), origin)
        .log(
            "volume {}: taken over from node {} in {} ms, of which {} ms until it was granted",
            volume.record().name(),
            origin,
            Duration.ofNanos(now - underWay.get(volume)).toMillis(),
            Duration.ofNanos(grantedAt - underWay.get(volume)).toMillis());
  }

  private void finish(Volume volume) {
    open.closed(volume);
    underWay.remove(volume);
    adopting.remove(volume);
    attachedAgain.remove(volume);
    finishDomain(volume.record().domain());
  }

  private void refused(List<Volume> group, PeerLink owner, Throwable error) {
    Throwable cause = error instanceof CompletionException ? error.getCause() : error;
    if (!(cause instanceof RefusedException refused)) {
      again(
          group, RETRY_LATER, "node " + owner.node() + " to release the volume: " + message(error));
      return;
    }
    if (refused.code() != Refused.Code.BUSY) {
      // Busy may be with an earlier request of ours, whose answer was lost.
      group.forEach(open::closed);
    }
    switch (refused.code()) {
      case GUEST_UNKNOWN, BUSY -> again(group, RETRY_SOON, refused.getMessage());
      case WRONG_EPOCH, NOT_OWNER -> {
        // The volume changed hands since it was attached: find its owner again. What it granted
        // before is no longer ours.
        group.forEach(adopting::remove);
        if (attachedAgain.add(group.get(0))) {
          attachFirst(group);
        } else {
          attachedAgain.remove(group.get(0));
          again(group, RETRY_LATER, refused.getMessage());
        }
      }
      default -> again(group, RETRY_LATER, refused.getMessage());
    }
  }

  private void again(List<Volume> group, Duration delay, String why) {
    for (Volume volume : group) {
      if (!Objects.equals(volume.trouble(), why)) {
        VolumeLog.about(log.atWarn(), volume.record(), volume.record().epoch().owner())
            .log("volume {}: takeover waits for: {}", volume.record().name(), why);
      }
      volume.setTrouble(why);
    }
    volumes.shared().loop().after(delay, () -> attempt(group));
  }

  private static String message(Throwable error) {
    Throwable cause = error instanceof CompletionException ? error.getCause() : error;
    return cause.getMessage() == null ? cause.toString() : cause.getMessage();
  }
}
