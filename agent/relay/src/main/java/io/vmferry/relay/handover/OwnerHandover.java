// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.handover;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.ByteBufAllocator;
import io.vmferry.api.Epoch;
import io.vmferry.api.GuestStatus;
import io.vmferry.api.VolumeState;
import io.vmferry.relay.exec.Loop;
import io.vmferry.relay.map.BlockMap;
import io.vmferry.relay.map.HeapBlockMap;
import io.vmferry.relay.map.Runs;
import io.vmferry.relay.map.StaleMapCodec;
import io.vmferry.relay.peer.PeerService.Responder;
import io.vmferry.relay.peer.WireIds;
import io.vmferry.relay.peer.wire.Frame;
import io.vmferry.relay.peer.wire.Refused;
import io.vmferry.relay.peer.wire.TakenOver;
import io.vmferry.relay.peer.wire.Takeover;
import io.vmferry.relay.volume.Volume;
import io.vmferry.relay.volume.VolumeLog;
import io.vmferry.relay.volume.VolumeRecord;
import io.vmferry.relay.volume.Volumes;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Phase 5 at the source: releases the volumes of a domain to the peer that asks, all or none.
 *
 * <p>The order: check epoch and owner; make sure that the guest has stopped here; park guest I/O
 * and wait for what is in flight; force the data; write RELEASED durably for all volumes in one
 * commit; answer. Asked again by the same peer after that, the same answer is given again. Loop
 * only.
 */
public final class OwnerHandover {
  private static final Logger log = LoggerFactory.getLogger(OwnerHandover.class);

  /**
   * From the question to the agent's answer. The guest at the other side waits; the agent needs
   * some milliseconds, or is down, and the other side asks again.
   */
  private static final Duration PROBE_TIMEOUT = Duration.ofSeconds(2);

  /**
   * Between looks whether the last client has left while the agent is asked: libvirt answers only
   * when it has ended the QEMU here, and the guest at the other side waits. A fraction of a round
   * trip.
   */
  private static final Duration CLIENTS_POLL = Duration.ofMillis(5);

  private final Volumes volumes;
  private final GuestProbe guests;

  /** Volumes of a takeover or an extension under way: another one has to wait. */
  private final Set<Volume> busy = new HashSet<>();

  /** A size of 0 is unknown. */
  private record Wanted(Volume volume, Epoch epoch, long size) {}

  public OwnerHandover(Volumes volumes, GuestProbe guests) {
    this.volumes = volumes;
    this.guests = guests;
  }

  /** Executes a peer's takeover. */
  void takeover(String peer, Takeover request, Responder responder) {
    List<Wanted> wanted = new ArrayList<>();
    for (Takeover.Volume each : request.getVolumesList()) {
      Volume volume = volumes.byUuid(WireIds.uuid(each.getUuid()));
      if (volume == null) {
        throw new PeerRefusal(
            Refused.Code.NOT_FOUND,
            "the volume is not on this node any more; find its owner again");
      }
      wanted.add(new Wanted(volume, WireIds.epoch(each.getEpoch()), each.getSize()));
    }
    if (wanted.isEmpty()) {
      throw new PeerRefusal(Refused.Code.BAD_REQUEST, "a takeover names at least one volume");
    }
    List<Wanted> open = wanted.stream().filter(each -> !alreadyReleased(each, peer)).toList();
    open.forEach(this::check);
    if (open.isEmpty()) {
      answer(wanted, responder);
      return;
    }
    open.forEach(each -> busy.add(each.volume()));
    var unused =
        guestsStopped(open)
            .whenComplete(
                (stopped, error) -> {
                  if (error != null) {
                    open.forEach(each -> busy.remove(each.volume()));
                    refuse(responder, error);
                  } else {
                    release(peer, wanted, open, responder);
                  }
                });
  }

  /** Whether a takeover of the volume is being decided. */
  boolean isBusy(Volume volume) {
    return busy.contains(volume);
  }

  /** Lets takeovers of the volume wait until {@link #free}; it must not be {@link #isBusy busy}. */
  void reserve(Volume volume) {
    busy.add(volume);
  }

  void free(Volume volume) {
    busy.remove(volume);
  }

  private static boolean alreadyReleased(Wanted wanted, String peer) {
    VolumeRecord record = wanted.volume().record();
    return record.state() == VolumeState.RELEASED
        && record.epoch().equals(wanted.epoch().next(peer));
  }

  private void check(Wanted wanted) {
    Volume volume = wanted.volume();
    VolumeRecord record = volume.record();
    String name = "volume " + record.name();
    if (volume.failure() != null) {
      throw new PeerRefusal(Refused.Code.FAILED, volume.failure());
    }
    if (volume.isForked()) {
      // Not NOT_OWNER: whoever asks would look for the other owner, whose content is another one.
      throw new PeerRefusal(Refused.Code.FAILED, volume.record().forkSentence());
    }
    if (!volume.isOwner()) {
      throw new PeerRefusal(
          Refused.Code.NOT_OWNER,
          name + " is owned by node " + record.epoch().owner() + ", not here; ask there");
    }
    requireNoSource(record);
    if (!record.epoch().equals(wanted.epoch())) {
      throw new PeerRefusal(
          Refused.Code.WRONG_EPOCH,
          name + " is in epoch " + record.epoch() + ", not " + wanted.epoch() + "; attach again");
    }
    if (wanted.size() != 0 && wanted.size() != record.size()) {
      throw new PeerRefusal(
          Refused.Code.WRONG_EPOCH,
          name + " has " + record.size() + " bytes, not " + wanted.size() + "; attach again");
    }
    if (busy.contains(volume)) {
      throw new PeerRefusal(
          Refused.Code.BUSY, name + " is changing its owner or its size; ask again");
    }
  }

  static void requireNoSource(VolumeRecord record) {
    String problem = needsSource(record);
    if (problem != null) {
      throw new PeerRefusal(Refused.Code.FAILED, problem);
    }
  }

  /**
   * A volume whose content is still at an NBD server doesn't leave: the next owner would have to
   * fetch from there too, and who can reach that server is not known here.
   *
   * @return a sentence; null if its content is not at an NBD server
   */
  static String needsSource(VolumeRecord record) {
    return record.source() == null
        ? null
        : "volume "
            + record.name()
            + " is still copied from "
            + record.source().uri()
            + "; move it when 'vmferry status' shows it complete";
  }

  /** Completes on the loop when no guest here can write; fails with the refusal otherwise. */
  private CompletableFuture<Void> guestsStopped(List<Wanted> wanted) {
    List<CompletableFuture<Void>> all = new ArrayList<>();
    for (Wanted each : wanted) {
      if (each.volume().clients() > 0) {
        all.add(guestStopped(each.volume()));
      }
    }
    return CompletableFuture.allOf(all.toArray(CompletableFuture[]::new));
  }

  /** Two proofs, whichever comes first: the agent says so, or no client is left. */
  private CompletableFuture<Void> guestStopped(Volume volume) {
    CompletableFuture<Void> stopped = new CompletableFuture<>();
    Loop loop = volumes.shared().loop();
    Loop.Timer late = loop.after(PROBE_TIMEOUT, () -> decide(volume, null, stopped));
    var unusedAnswer =
        ask(volume)
            .whenComplete(
                (status, error) ->
                    loop.execute(() -> decide(volume, error == null ? status : null, stopped)));
    awaitNoClients(volume, stopped);
    var unused = stopped.whenComplete((done, error) -> late.cancel());
    return stopped;
  }

  private CompletableFuture<GuestStatus> ask(Volume volume) {
    try {
      return guests.ask(volume.record().name());
    } catch (RuntimeException e) {
      return CompletableFuture.failedFuture(e);
    }
  }

  private void awaitNoClients(Volume volume, CompletableFuture<Void> stopped) {
    if (stopped.isDone()) {
      return;
    }
    if (volume.clients() == 0) {
      stopped.complete(null);
      return;
    }
    volumes.shared().loop().after(CLIENTS_POLL, () -> awaitNoClients(volume, stopped));
  }

  /**
   * The agent has answered, maybe late: who had the volume open when it was asked may be gone.
   *
   * @param status null if the agent can't say
   */
  private static void decide(Volume volume, GuestStatus status, CompletableFuture<Void> stopped) {
    boolean paused = status != null && status.state() == GuestStatus.State.STOPPED_FOR_MIGRATION;
    if (paused || volume.clients() == 0) {
      stopped.complete(null);
      return;
    }
    String name = volume.record().name();
    String clients = volume.describeClients();
    stopped.completeExceptionally(
        status == null
            ? new PeerRefusal(
                Refused.Code.GUEST_UNKNOWN,
                "volume "
                    + name
                    + " is open at its owner ("
                    + clients
                    + ") and the agent there can't say whether the guest has stopped; start it")
            : new PeerRefusal(refusal(status), stillInUse(name, clients, status)));
  }

  /**
   * libvirt knows of no guest, and somebody is still connected: most likely a QEMU about to end.
   */
  private static Refused.Code refusal(GuestStatus status) {
    return status.state() == GuestStatus.State.NONE ? Refused.Code.BUSY : Refused.Code.GUEST_ACTIVE;
  }

  private static String stillInUse(String name, String clients, GuestStatus status) {
    return status.state() == GuestStatus.State.ACTIVE
        ? "volume "
            + name
            + " is in use at its owner by domain "
            + status.domainName()
            + "; shut that down or migrate it"
        : "volume " + name + " is open at its owner by " + clients + "; end that first";
  }

  private void release(String peer, List<Wanted> wanted, List<Wanted> open, Responder responder) {
    Quiet quiet = new Quiet(open.stream().map(Wanted::volume).toList());
    quiet.whenReached(
        error -> {
          if (error != null) {
            failed(open, quiet, error, responder);
          } else {
            commit(peer, wanted, open, quiet, responder);
          }
        });
  }

  private void commit(
      String peer, List<Wanted> wanted, List<Wanted> open, Quiet quiet, Responder responder) {
    volumes
        .commits()
        .<List<VolumeRecord>>submit(
            () -> {
              if (!quiet.lasts()) {
                return null;
              }
              List<VolumeRecord> released = new ArrayList<>();
              for (Wanted each : open) {
                VolumeRecord record = each.volume().record();
                released.add(
                    record.released(
                        record.epoch().next(peer), volumes.shared().wallClock().instant()));
              }
              return () -> {
                volumes.shared().storage().commit(released);
                return released;
              };
            },
            (released, error) -> {
              if (error != null) {
                failed(open, quiet, error, responder);
                return;
              }
              if (released == null) {
                changed(open, quiet, responder);
                return;
              }
              for (int i = 0; i < open.size(); i++) {
                Volume volume = open.get(i).volume();
                busy.remove(volume);
                volume.become(released.get(i));
              }
              answer(wanted, responder);
            });
  }

  /** The guest isn't here any more, so nothing is lost by staying owner and being asked again. */
  private void failed(List<Wanted> open, Quiet quiet, Throwable error, Responder responder) {
    for (Wanted each : open) {
      VolumeRecord record = each.volume().record();
      VolumeLog.about(log.atError(), record)
          .log("volume {}: takeover refused: {}", record.name(), error.getMessage());
      busy.remove(each.volume());
    }
    quiet.end();
    refuse(
        responder,
        new PeerRefusal(
            Refused.Code.FAILED, "the owner can't release the volume: " + error.getMessage()));
  }

  /**
   * One of them went on, or became something else, before the change of the records had its turn.
   */
  private void changed(List<Wanted> open, Quiet quiet, Responder responder) {
    open.forEach(each -> busy.remove(each.volume()));
    quiet.end();
    refuse(
        responder,
        new PeerRefusal(
            Refused.Code.BUSY,
            "volume "
                + open.get(0).volume().record().name()
                + " or another one of its domain changed during the takeover; ask again"));
  }

  private static void refuse(Responder responder, Throwable error) {
    Throwable cause = error;
    while (cause.getCause() != null && !(cause instanceof PeerRefusal)) {
      cause = cause.getCause();
    }
    if (cause instanceof PeerRefusal refusal) {
      PeerAnswers.refuse(responder, refusal);
    } else {
      PeerAnswers.failed(responder, String.valueOf(cause.getMessage()));
    }
  }

  /**
   * What the new owner lacks. If this replica is incomplete and has no origin, the new owner is
   * that origin: what is not held here it has itself, up to date, whatever the stale map errs to.
   */
  private static BlockMap staleForNewOwner(Volume volume) {
    VolumeRecord record = volume.record();
    BlockMap kept = volume.replicas().stale(record.epoch().owner());
    BlockMap stale =
        kept != null ? HeapBlockMap.copyOf(kept) : HeapBlockMap.allSet(volume.grid().blocks());
    if (record.held() == VolumeRecord.Held.JOURNAL && record.origin() == null) {
      Runs.forEach(
          volume.heldSnapshot(),
          0,
          stale.blocks(),
          false,
          (from, to) -> {
            stale.clear(from, to);
            return true;
          });
    }
    return stale;
  }

  private static void answer(List<Wanted> wanted, Responder responder) {
    TakenOver.Builder answer = TakenOver.newBuilder();
    ByteBuf maps = ByteBufAllocator.DEFAULT.buffer();
    for (Wanted each : wanted) {
      Volume volume = each.volume();
      VolumeRecord record = volume.record();
      int start = maps.readableBytes();
      StaleMapCodec.encode(staleForNewOwner(volume), maps);
      answer.addVolumes(
          TakenOver.Volume.newBuilder()
              .setUuid(WireIds.bytes(record.uuid()))
              .setEpoch(WireIds.epoch(record.epoch()))
              .setStaleMapLength(maps.readableBytes() - start));
    }
    responder.answer(Frame.newBuilder().setTakenOver(answer), maps, true);
  }
}
