// SPDX-License-Identifier: Apache-2.0
package io.vmferry.coordinator.migration;

import io.vmferry.api.RelayStatus;
import io.vmferry.api.Timeline;
import io.vmferry.api.VolumeState;
import io.vmferry.api.VolumeStatus;
import io.vmferry.coordinator.hypervisor.DomainInfo;
import io.vmferry.coordinator.hypervisor.DomainState;
import io.vmferry.coordinator.hypervisor.Hypervisor;
import java.io.IOException;
import java.time.Duration;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.UUID;
import java.util.function.Supplier;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.slf4j.spi.LoggingEventBuilder;

/**
 * Pauses a guest that waits for blocks while the link to their node stays down, and resumes it when
 * the link is back and its requests are served: the guest's clock stands still meanwhile, so no
 * time limit of its disk driver and no watchdog runs out. Requests that wait are not touched.
 *
 * <p>Only guests that the agent paused itself are resumed; the marks say which, also after the
 * agent was restarted. Who resumes such a guest during the outage has decided: it is left alone
 * until the link is back. On the coordinator's thread.
 */
final class LinkOutages {
  private static final Logger log = LoggerFactory.getLogger(LinkOutages.class);

  /** Between two looks while a volume is fetched or a guest is paused. */
  static final Duration LOOK_SOON = Duration.ofSeconds(1);

  /** Between two looks while nothing can be waited for. */
  static final Duration LOOK_LATER = Duration.ofSeconds(5);

  private enum Phase {
    /** The guest runs; maybe nothing of it waits. */
    WATCHED,
    /** The hypervisor was asked, and may answer only when the link is back. */
    PAUSING,
    PAUSED,
    RESUMING,
    /** Somebody else resumed it. */
    LEFT_ALONE
  }

  /** One domain during one outage. */
  private static final class Outage {
    final long since;
    final Backoff backoff;
    Phase phase;
    String origin;

    Outage(long since, Phase phase, Backoff backoff) {
      this.since = since;
      this.phase = phase;
      this.backoff = backoff;
    }
  }

  private final Scheduler scheduler;
  private final Hypervisor hypervisor;
  private final Relay relay;
  private final Timeline timeline;
  private final Migrations migrations;
  private final Optional<Duration> pauseAfter;
  private final PauseMarks marks;
  private final Supplier<Collection<DomainInfo>> known;

  private final Map<UUID, Outage> outages = new HashMap<>();

  /**
   * @param pauseAfter how long a link may be down; empty to pause nobody
   * @param known the domains with vmferry disks, as last read
   */
  LinkOutages(
      Scheduler scheduler,
      Hypervisor hypervisor,
      Relay relay,
      Timeline timeline,
      Migrations migrations,
      Optional<Duration> pauseAfter,
      PauseMarks marks,
      Supplier<Collection<DomainInfo>> known) {
    this.scheduler = scheduler;
    this.hypervisor = hypervisor;
    this.relay = relay;
    this.timeline = timeline;
    this.migrations = migrations;
    this.pauseAfter = pauseAfter;
    this.marks = marks;
    this.known = known;
  }

  /** Takes up what an earlier agent left, and begins to look. */
  void start() {
    try {
      for (UUID domain : marks.read()) {
        outages.put(domain, newOutage(Phase.PAUSED));
      }
    } catch (IOException e) {
      log.error(
          "which domains were paused because of a lost link is not known ({}): resume them by hand,"
              + " with `virsh resume`",
          e.toString());
    }
    look();
  }

  /** What a person should know about a domain, one sentence; null if nothing. */
  String note(UUID domain) {
    Outage outage = outages.get(domain);
    if (outage == null || (outage.phase != Phase.PAUSING && outage.phase != Phase.PAUSED)) {
      return null;
    }
    return "paused by vmferry: it waits for blocks of "
        + (outage.origin == null ? "a node" : outage.origin)
        + " and the link is down; resumed by itself when that is back";
  }

  /**
   * The domain was resumed, by whomever, maybe before it was paused here: the event of an earlier
   * resume may come late. So it is looked at, once the pause has been carried out.
   */
  void resumed(UUID domain, String name) {
    Outage outage = outages.get(domain);
    if (outage == null || outage.phase != Phase.PAUSED) {
      return;
    }
    scheduler.then(
        hypervisor.domain(domain),
        found -> {
          boolean runs = found.filter(now -> now.state() == DomainState.RUNNING).isPresent();
          if (runs && outage.phase == Phase.PAUSED) {
            outage.phase = Phase.LEFT_ALONE;
            unmark(domain);
            say(
                domain,
                name,
                "resume",
                "resumed by somebody else during the outage; it is not paused again");
          }
        },
        reason -> log.debug("domain {} not looked at: {}", name, reason));
  }

  /** The domain has no QEMU here any more. */
  void stopped(UUID domain) {
    if (outages.remove(domain) != null) {
      unmark(domain);
    }
  }

  private Outage newOutage(Phase phase) {
    return new Outage(scheduler.nanoTime(), phase, new Backoff(scheduler, List.of(LOOK_SOON)));
  }

  private void look() {
    scheduler.then(
        relay.status(),
        status -> {
          Set<UUID> here = new HashSet<>();
          for (DomainInfo domain : List.copyOf(known.get())) {
            here.add(domain.uuid());
            look(domain, status);
          }
          outages.keySet().stream()
              .filter(domain -> !here.contains(domain))
              .toList()
              .forEach(this::lookAtUnknown);
          scheduler.schedule(busy(status) ? LOOK_SOON : LOOK_LATER, this::look);
        },
        reason -> scheduler.schedule(LOOK_SOON, this::look));
  }

  private boolean busy(RelayStatus status) {
    return !outages.isEmpty() || status.volumes().stream().anyMatch(LinkOutages::fetching);
  }

  private static boolean fetching(VolumeStatus volume) {
    return volume.state() == VolumeState.FETCHING
        && volume.fetch() != null
        && volume.present() < volume.size();
  }

  private void look(DomainInfo domain, RelayStatus status) {
    List<VolumeStatus> fetching =
        status.volumes().stream()
            .filter(volume -> domain.volumes().contains(volume.name()) && fetching(volume))
            .toList();
    Optional<VolumeStatus> cut =
        fetching.stream().filter(volume -> !volume.fetch().linkUp()).findFirst();
    if (cut.isEmpty()) {
      linksUp(domain, fetching.stream().allMatch(volume -> volume.fetch().waiting() == 0));
      return;
    }
    Outage outage = outages.computeIfAbsent(domain.uuid(), uuid -> newOutage(Phase.WATCHED));
    outage.origin = cut.get().fetch().describeOrigin();
    boolean waits = fetching.stream().anyMatch(v -> !v.fetch().linkUp() && v.fetch().waiting() > 0);
    long down = scheduler.nanoTime() - outage.since;
    if (outage.phase == Phase.WATCHED
        && waits
        && pauseAfter.isPresent()
        && down >= pauseAfter.get().toNanos()) {
      scheduler.then(
          hypervisor.domain(domain.uuid()),
          found -> found.ifPresent(now -> pause(now, outage)),
          reason -> log.debug("domain {} not looked at: {}", domain.name(), reason));
    }
  }

  private void linksUp(DomainInfo domain, boolean served) {
    Outage outage = outages.get(domain.uuid());
    if (outage == null) {
      return;
    }
    switch (outage.phase) {
      case WATCHED, LEFT_ALONE -> outages.remove(domain.uuid());
      case PAUSED -> {
        if (served) {
          resume(domain.uuid(), domain.name(), outage);
        }
      }
      // The hypervisor answers soon, now that the requests are served.
      case PAUSING, RESUMING -> {}
    }
  }

  /** Nobody knows the domain now: it ended while no agent was there, or was not read yet. */
  private void lookAtUnknown(UUID domain) {
    scheduler.then(
        hypervisor.domain(domain),
        found -> {
          if (found.filter(DomainInfo::active).isEmpty()) {
            stopped(domain);
          }
        },
        reason -> log.debug("domain {} not looked at: {}", domain, reason));
  }

  /**
   * The mark comes first: an agent that dies in between leaves a mark of a guest that runs, which
   * the next one takes away; the other way round it would leave a guest paused for ever.
   */
  private void pause(DomainInfo domain, Outage outage) {
    UUID uuid = domain.uuid();
    boolean ours =
        outages.get(uuid) == outage
            && outage.phase == Phase.WATCHED
            && domain.state() == DomainState.RUNNING
            && migrations.state(uuid) == MigrationState.IDLE;
    if (!ours) {
      return;
    }
    try {
      marks.add(uuid);
    } catch (IOException e) {
      notPaused(domain, outage, "it can't be remembered: " + e);
      return;
    }
    outage.phase = Phase.PAUSING;
    say(
        uuid,
        domain.name(),
        "pause",
        "it waits for blocks of "
            + outage.origin
            + ", and the link has been down for "
            + pauseAfter.orElseThrow().toSeconds()
            + " s; it is resumed when the link is back");
    scheduler.then(
        hypervisor.suspend(uuid),
        nothing -> {
          if (outage.phase == Phase.PAUSING) {
            outage.phase = Phase.PAUSED;
          }
        },
        reason -> suspendFailed(domain, outage, reason));
  }

  /** Failed, or only its answer was lost. */
  private void suspendFailed(DomainInfo domain, Outage outage, String reason) {
    scheduler.then(
        hypervisor.domain(domain.uuid()),
        found -> {
          if (outage.phase != Phase.PAUSING) {
            return;
          }
          if (found.isPresent() && found.get().state() == DomainState.RUNNING) {
            outage.phase = Phase.WATCHED;
            unmark(domain.uuid());
            notPaused(domain, outage, reason);
          } else {
            outage.phase = Phase.PAUSED;
          }
        },
        again -> scheduler.schedule(LOOK_SOON, () -> suspendFailed(domain, outage, reason)));
  }

  private void notPaused(DomainInfo domain, Outage outage, String reason) {
    if (outage.backoff.worthSaying(reason)) {
      DomainLog.about(log.atWarn(), domain.uuid(), domain.volumes())
          .log(
              "domain {} waits for a lost link and can't be paused yet, trying again: {}",
              domain.name(),
              reason);
      timeline.add(domain.name(), "pause", "not paused yet: " + reason);
    }
  }

  private void resume(UUID uuid, String name, Outage outage) {
    outage.phase = Phase.RESUMING;
    scheduler.then(
        hypervisor.domain(uuid),
        found -> resumeIfPaused(found, name, outage),
        reason -> notResumed(uuid, name, outage, reason));
  }

  private void resumeIfPaused(Optional<DomainInfo> found, String name, Outage outage) {
    if (found.isEmpty() || !found.get().active()) {
      found.ifPresent(domain -> stopped(domain.uuid()));
      outage.phase = Phase.PAUSED;
      return;
    }
    UUID uuid = found.get().uuid();
    switch (found.get().state()) {
      case PAUSED ->
          scheduler.then(
              hypervisor.resume(uuid),
              nothing -> {
                outages.remove(uuid, outage);
                unmark(uuid);
                say(uuid, name, "resume", "the link is back");
              },
              reason -> notResumed(uuid, name, outage, reason));
      // Resumed by somebody while no agent was there, or never paused by one that died.
      case RUNNING -> {
        outages.remove(uuid, outage);
        unmark(uuid);
      }
      // Migration, I/O error: whoever deals with that comes first.
      default -> outage.phase = Phase.PAUSED;
    }
  }

  private void notResumed(UUID domain, String name, Outage outage, String reason) {
    outage.phase = Phase.PAUSED;
    if (outage.backoff.worthSaying(reason)) {
      about(log.atWarn(), domain)
          .log(
              "domain {}: the link is back, but it can't be resumed yet, trying again: {}",
              name,
              reason);
      timeline.add(name, "resume", "not resumed yet: " + reason);
    }
  }

  private void unmark(UUID domain) {
    try {
      marks.remove(domain);
    } catch (IOException e) {
      about(log.atWarn(), domain)
          .log(
              "the mark of domain {}, that it was paused, can't be removed: {}",
              domain,
              e.toString());
    }
  }

  private static LoggingEventBuilder about(LoggingEventBuilder line, UUID domain) {
    return DomainLog.about(line, domain, List.of());
  }

  private void say(UUID domain, String name, String kind, String what) {
    about(log.atWarn(), domain).log("domain {}: {}: {}", name, kind, what);
    timeline.add(name, kind, what);
  }
}
