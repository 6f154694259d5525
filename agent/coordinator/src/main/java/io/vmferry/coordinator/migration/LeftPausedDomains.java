// SPDX-License-Identifier: Apache-2.0
package io.vmferry.coordinator.migration;

import io.vmferry.api.PeerClients;
import io.vmferry.api.RelayStatus;
import io.vmferry.api.Timeline;
import io.vmferry.api.VolumeState;
import io.vmferry.api.VolumeStatus;
import io.vmferry.coordinator.hypervisor.DomainInfo;
import io.vmferry.coordinator.hypervisor.DomainState;
import io.vmferry.coordinator.hypervisor.Hypervisor;
import io.vmferry.coordinator.migration.LeftPaused.AtPeers;
import io.vmferry.coordinator.migration.LeftPaused.Owner;
import io.vmferry.coordinator.migration.LeftPaused.Sight;
import java.time.Duration;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import java.util.function.Predicate;
import java.util.stream.Stream;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.slf4j.spi.LoggingEventBuilder;

/**
 * Looks after domains that were left paused at the source of a migration: finds out what {@link
 * LeftPaused} needs to know, and does or says what it decides. On the coordinator's thread.
 */
final class LeftPausedDomains {
  private static final Logger log = LoggerFactory.getLogger(LeftPausedDomains.class);

  /**
   * How long a domain must have looked left before anything is done. Longer than libvirt needs
   * between two steps of a migration; whether the other side is still there is asked all the same.
   */
  static final Duration GRACE = Duration.ofSeconds(10);

  private final String node;
  private final Scheduler scheduler;
  private final Hypervisor hypervisor;
  private final Relay relay;
  private final Timeline timeline;
  private final Migrations migrations;

  private final Map<UUID, Left> domains = new HashMap<>();

  /** Domains that are being looked at. */
  private final Set<UUID> looking = new HashSet<>();

  /** A domain that looks left. */
  private static final class Left {
    final long since;
    String said;

    Left(long since) {
      this.since = since;
    }
  }

  LeftPausedDomains(
      String node,
      Scheduler scheduler,
      Hypervisor hypervisor,
      Relay relay,
      Timeline timeline,
      Migrations migrations) {
    this.node = node;
    this.scheduler = scheduler;
    this.hypervisor = hypervisor;
    this.relay = relay;
    this.timeline = timeline;
    this.migrations = migrations;
  }

  /** What a person should know about a domain, one sentence; null if nothing. */
  String note(UUID domain) {
    Left left = domains.get(domain);
    return left == null ? null : left.said;
  }

  /** Forgets domains that are not here any more. */
  void retain(Set<UUID> here) {
    domains.keySet().retainAll(here);
  }

  /**
   * A domain was looked at.
   *
   * @param status the relay's, empty if it does not answer
   */
  void seen(DomainInfo domain, Optional<RelayStatus> status) {
    if (!candidate(domain.state(), incoming(domain.uuid()))) {
      domains.remove(domain.uuid());
      return;
    }
    if (!looking.add(domain.uuid())) {
      return;
    }
    scheduler.then(
        hypervisor.jobActive(domain.uuid()),
        job -> decide(domain, status, job),
        // So it is with a domain that arrives: libvirt tells its job at the source only.
        reason -> {
          looking.remove(domain.uuid());
          log.debug("domain {}: its job is not known: {}", domain.name(), reason);
        });
  }

  private static boolean candidate(DomainState state, boolean incoming) {
    Sight fresh = new Sight(state, incoming, false, Owner.UNKNOWN, AtPeers.UNKNOWN);
    return LeftPaused.of(fresh) != LeftPaused.NOTHING;
  }

  private boolean incoming(UUID domain) {
    return migrations.state(domain) == MigrationState.RESERVED;
  }

  private void decide(DomainInfo domain, Optional<RelayStatus> status, boolean job) {
    if (job) {
      domains.remove(domain.uuid());
      looking.remove(domain.uuid());
      return;
    }
    Left left = domains.computeIfAbsent(domain.uuid(), uuid -> new Left(scheduler.nanoTime()));
    boolean old = scheduler.nanoTime() - left.since >= GRACE.toNanos();
    boolean arrives = incoming(domain.uuid());
    Owner owner = owner(domain, status);
    Sight sight = new Sight(domain.state(), arrives, old, owner, AtPeers.NOBODY);
    if (LeftPaused.of(sight) != LeftPaused.RESUME) {
      looking.remove(domain.uuid());
      act(domain, left, sight, status, List.of());
      return;
    }
    scheduler.then(
        atPeers(domain.volumes()),
        answers -> {
          looking.remove(domain.uuid());
          act(domain, left, with(sight, answers), status, answers);
        },
        reason -> {
          looking.remove(domain.uuid());
          say(domain, left, "whether it may be resumed is not known: " + reason);
        });
  }

  private CompletableFuture<List<PeerClients>> atPeers(List<String> volumes) {
    CompletableFuture<List<PeerClients>> all = CompletableFuture.completedFuture(List.of());
    for (String volume : volumes) {
      all =
          all.thenCombine(
              relay.peerClients(volume),
              (before, more) -> Stream.concat(before.stream(), more.stream()).toList());
    }
    return all;
  }

  private static Sight with(Sight sight, List<PeerClients> answers) {
    AtPeers atPeers = AtPeers.NOBODY;
    for (PeerClients peer : answers) {
      if (peer.problem() != null && atPeers == AtPeers.NOBODY) {
        atPeers = AtPeers.UNKNOWN;
      } else if (peer.clients() > 0) {
        atPeers = AtPeers.SOMEBODY;
      }
    }
    return new Sight(sight.state(), sight.underWay(), sight.old(), sight.owner(), atPeers);
  }

  private Owner owner(DomainInfo domain, Optional<RelayStatus> status) {
    if (status.isEmpty()) {
      return Owner.UNKNOWN;
    }
    List<VolumeStatus> volumes = volumes(domain, status.get());
    if (volumes.stream().anyMatch(LeftPausedDomains::elsewhere)) {
      return Owner.ELSEWHERE;
    }
    boolean allHere =
        volumes.size() == domain.volumes().size()
            && volumes.stream().allMatch(volume -> volume.failure() == null);
    if (!allHere) {
      return Owner.UNKNOWN;
    }
    return domain.owner() == null || domain.owner().equals(node) ? Owner.HERE : Owner.HERE_AGAIN;
  }

  private static List<VolumeStatus> volumes(DomainInfo domain, RelayStatus status) {
    return status.volumes().stream().filter(v -> domain.volumes().contains(v.name())).toList();
  }

  /** A standby was never owned here: the guest came and left again without writing. */
  private static boolean elsewhere(VolumeStatus volume) {
    return volume.state() == VolumeState.RELEASED || volume.state() == VolumeState.STANDBY;
  }

  private void act(
      DomainInfo domain,
      Left left,
      Sight sight,
      Optional<RelayStatus> status,
      List<PeerClients> peers) {
    String name = domain.name();
    switch (LeftPaused.of(sight)) {
      case NOTHING, LOOK_AGAIN -> {}
      case RESUME -> resume(domain, left);
      case OPEN_AT_PEER ->
          say(
              domain,
              left,
              "its migration is over, but node "
                  + first(peers, peer -> peer.clients() > 0).node()
                  + " still has a QEMU with its volumes; when that has ended, for example by `virsh"
                  + " destroy "
                  + name
                  + "` there, it is resumed here");
      case PEER_UNKNOWN ->
          say(
              domain,
              left,
              "its migration is over, and whether it runs elsewhere is not known: "
                  + first(peers, peer -> peer.problem() != null).problem()
                  + "; it is resumed when it is known that it does not");
      case GUEST_WENT_ON -> guestWentOn(domain, left, status);
      case MEMORY_TOO_OLD ->
          say(
              domain,
              left,
              "its memory here is older than its disks, which were at node "
                  + domain.owner()
                  + " meanwhile; run `virsh destroy "
                  + name
                  + "`, then start it again");
      case MEMORY_INCOMPLETE ->
          say(
              domain,
              left,
              "its post-copy migration broke: a part of its memory is only at the destination; if"
                  + " no guest runs there, run `virsh destroy "
                  + name
                  + "`, then start it again");
      case OWNER_UNKNOWN ->
          say(
              domain,
              left,
              "its migration is over, and who owns its volumes is not known: "
                  + (status.isEmpty()
                      ? "the relay does not answer; start it"
                      : "the relay does not serve all of them; see `vmferry status`"));
    }
  }

  private static PeerClients first(List<PeerClients> peers, Predicate<PeerClients> which) {
    return peers.stream().filter(which).findFirst().orElseThrow();
  }

  private void guestWentOn(DomainInfo domain, Left left, Optional<RelayStatus> status) {
    VolumeStatus first =
        volumes(domain, status.orElseThrow()).stream()
            .filter(LeftPausedDomains::elsewhere)
            .findFirst()
            .orElseThrow();
    String owner = first.epoch().owner();
    say(
        domain,
        left,
        "its migration is over and node "
            + owner
            + (first.state() == VolumeState.STANDBY
                ? " owns its volumes, which never came here; run `virsh destroy "
                : " owns its volumes since: the guest went on there; run `virsh destroy ")
            + domain.name()
            + "` to remove what is left here, and start it again if it does not run on "
            + owner);
    if (!owner.equals(domain.owner())) {
      // Remembers, also for the next agent, that the memory here is older than the disks.
      scheduler.then(
          hypervisor.setOwner(domain.uuid(), owner),
          nothing -> timeline.add(domain.name(), "owner", "metadata names " + owner),
          reason ->
              about(log.atInfo(), domain)
                  .log("domain {}: owner not written to its metadata: {}", domain.name(), reason));
    }
  }

  private void resume(DomainInfo domain, Left left) {
    scheduler.then(
        hypervisor.resume(domain.uuid()),
        nothing -> {
          domains.remove(domain.uuid());
          about(log.atWarn(), domain)
              .log(
                  "domain {} was left paused by a migration that is over; it is resumed: this node"
                      + " owns its volumes and no other has a guest for them",
                  domain.name());
          timeline.add(domain.name(), "resume", "resumed: left paused by a migration that is over");
        },
        reason -> say(domain, left, "its migration is over; it can't be resumed: " + reason));
  }

  private static LoggingEventBuilder about(LoggingEventBuilder line, DomainInfo domain) {
    return DomainLog.about(line, domain.uuid(), domain.volumes());
  }

  private void say(DomainInfo domain, Left left, String what) {
    if (!Objects.equals(left.said, what)) {
      left.said = what;
      about(log.atWarn(), domain).log("domain {} is {}: {}", domain.name(), domain.state(), what);
      timeline.add(domain.name(), "left paused", what);
    }
  }
}
