// SPDX-License-Identifier: Apache-2.0
package io.vmferry.coordinator.migration;

import io.vmferry.api.RelayStatus;
import io.vmferry.api.Timeline;
import io.vmferry.api.VolumeState;
import io.vmferry.api.VolumeStatus;
import io.vmferry.coordinator.hypervisor.DomainInfo;
import io.vmferry.coordinator.hypervisor.DomainState;
import io.vmferry.coordinator.hypervisor.Hypervisor;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.UUID;
import java.util.function.Consumer;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Makes the volumes of a guest that runs here owned here: at the destination after it was resumed,
 * at the source after a roll-back. The relay's own rules decide whether a takeover is safe; here it
 * is only asked for, until it is done or the guest is gone. On the coordinator's thread.
 */
final class Takeovers {
  private static final Logger log = LoggerFactory.getLogger(Takeovers.class);

  /** The guest may be waiting for its disk, so the first attempts come quickly. */
  private static final List<Duration> PAUSES =
      List.of(
          Duration.ofMillis(100),
          Duration.ofMillis(200),
          Duration.ofMillis(500),
          Duration.ofSeconds(1),
          Duration.ofSeconds(2),
          Duration.ofSeconds(5));

  private final Scheduler scheduler;
  private final Hypervisor hypervisor;
  private final Relay relay;
  private final Timeline timeline;
  private final Migrations migrations;
  private final Consumer<UUID> done;
  private final Map<UUID, Loop> loops = new HashMap<>();

  /**
   * @param done told when the volumes of a domain were taken over
   */
  Takeovers(
      Scheduler scheduler,
      Hypervisor hypervisor,
      Relay relay,
      Timeline timeline,
      Migrations migrations,
      Consumer<UUID> done) {
    this.scheduler = scheduler;
    this.hypervisor = hypervisor;
    this.relay = relay;
    this.timeline = timeline;
    this.migrations = migrations;
    this.done = done;
  }

  /**
   * A guest runs here. Does nothing if its takeover is under way already, or there is nothing to
   * take over.
   *
   * @param volumes names of its volumes
   */
  void guestRuns(UUID domain, String name, List<String> volumes) {
    if (!loops.containsKey(domain)) {
      Loop loop = new Loop(domain, name, volumes);
      loops.put(domain, loop);
      loop.look();
    }
  }

  /** The guest is gone. */
  void guestStopped(UUID domain) {
    Loop loop = loops.remove(domain);
    if (loop != null) {
      loop.end();
    }
  }

  /** The volumes of a domain that another node owns, as far as this relay knows. */
  static List<VolumeStatus> notOwned(RelayStatus status, UUID domain, List<String> volumes) {
    return ofDomain(status, domain, volumes).stream()
        .filter(v -> v.state() == VolumeState.STANDBY || v.state() == VolumeState.RELEASED)
        .toList();
  }

  private static List<VolumeStatus> ofDomain(
      RelayStatus status, UUID domain, List<String> volumes) {
    return status.volumes().stream()
        .filter(v -> domain.equals(v.domain()) || volumes.contains(v.name()))
        .toList();
  }

  /** Attempts for one domain. */
  private final class Loop {
    private final UUID domain;
    private final String name;
    private final List<String> volumes;
    private final Backoff backoff = new Backoff(scheduler, PAUSES);

    /** Its volumes, as the relay said last; for the log. */
    private List<VolumeStatus> seen = List.of();

    private boolean asked;
    private boolean ended;
    private Runnable cancel = () -> {};

    Loop(UUID domain, String name, List<String> volumes) {
      this.domain = domain;
      this.name = name;
      this.volumes = volumes;
    }

    void end() {
      ended = true;
      cancel.run();
      loops.remove(domain, this);
    }

    void look() {
      scheduler.then(relay.status(), this::decide, this::retry);
    }

    private void decide(RelayStatus status) {
      if (ended) {
        return;
      }
      seen = ofDomain(status, domain, volumes);
      List<VolumeStatus> pending = notOwned(status, domain, volumes);
      if (pending.isEmpty()) {
        finish();
      } else if (!asked && pending.stream().allMatch(v -> v.state() == VolumeState.STANDBY)) {
        ask();
      } else {
        // Not the first attempt, or a roll-back: no hurry, so make sure that the guest does run.
        scheduler.then(hypervisor.domain(domain), this::askIfItRuns, this::retry);
      }
    }

    private void askIfItRuns(Optional<DomainInfo> info) {
      if (ended) {
        return;
      }
      boolean active = info.filter(DomainInfo::active).isPresent();
      if (active && (asked || info.get().state() == DomainState.RUNNING)) {
        ask();
        return;
      }
      if (asked) {
        timeline.add(name, "takeover", "given up: no guest runs here any more");
      }
      end();
    }

    private void ask() {
      if (!asked) {
        asked = true;
        timeline.add(name, "takeover", "asked for: the guest runs here");
        migrations.signal(domain, name, MigrationState.Signal.TAKEOVER_BEGAN);
      }
      scheduler.then(relay.takeover(domain), nothing -> verify(), this::retry);
    }

    private void verify() {
      scheduler.then(
          relay.status(),
          status -> {
            seen = ofDomain(status, domain, volumes);
            List<VolumeStatus> pending = notOwned(status, domain, volumes);
            if (pending.isEmpty()) {
              finish();
            } else {
              VolumeStatus first = pending.get(0);
              retry("volume " + first.name() + " is still " + first.state());
            }
          },
          this::retry);
    }

    private void finish() {
      if (ended) {
        return;
      }
      end();
      if (asked) {
        DomainLog.aboutVolumes(log.atInfo(), domain, seen)
            .log("domain {}: its volumes are taken over", name);
        timeline.add(name, "takeover", "done");
      }
      migrations.signal(domain, name, MigrationState.Signal.TAKEOVER_DONE);
      done.accept(domain);
    }

    private void retry(String reason) {
      if (ended) {
        return;
      }
      if (!asked) {
        log.debug("domain {}: whether its volumes are owned here is not known: {}", name, reason);
      } else if (backoff.worthSaying(reason)) {
        DomainLog.aboutVolumes(log.atWarn(), domain, seen)
            .log("domain {}: takeover not done yet, trying again: {}", name, reason);
        timeline.add(name, "takeover", "not done yet: " + reason);
      }
      cancel = scheduler.schedule(backoff.next(), this::look);
    }
  }
}
