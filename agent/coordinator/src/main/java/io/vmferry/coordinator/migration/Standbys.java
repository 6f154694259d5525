// SPDX-License-Identifier: Apache-2.0
package io.vmferry.coordinator.migration;

import io.vmferry.api.AttachStandby;
import io.vmferry.api.RelayStatus;
import io.vmferry.api.Timeline;
import io.vmferry.api.VolumeState;
import io.vmferry.api.VolumeStatus;
import io.vmferry.coordinator.hypervisor.DomainInfo;
import io.vmferry.coordinator.hypervisor.Hypervisor;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import java.util.stream.Collectors;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Attaches standbys for the hooks and drops those that no domain needs. An attach always wins over
 * a drop that was planned before it. On the coordinator's thread.
 */
final class Standbys {
  private static final Logger log = LoggerFactory.getLogger(Standbys.class);

  /** After a domain stopped: libvirt may still hold it, waiting for the hook that told us. */
  static final Duration DROP_DELAY = Duration.ofSeconds(1);

  /** Between the hook and the domain's QEMU libvirt has no domain yet; seconds at most. */
  static final Duration NO_DOMAIN_GRACE = Duration.ofSeconds(60);

  private final Scheduler scheduler;
  private final Hypervisor hypervisor;
  private final Relay relay;
  private final Timeline timeline;

  private final Map<UUID, Runnable> plannedDrops = new HashMap<>();
  private final Map<UUID, CompletableFuture<Void>> runningDrops = new HashMap<>();

  /** When a standby was attached, or first seen without a domain. */
  private final Map<UUID, Long> unusedSince = new HashMap<>();

  Standbys(Scheduler scheduler, Hypervisor hypervisor, Relay relay, Timeline timeline) {
    this.scheduler = scheduler;
    this.hypervisor = hypervisor;
    this.relay = relay;
    this.timeline = timeline;
  }

  /** Attaches; a drop that is under way is waited for, one that is planned is cancelled. */
  CompletableFuture<Void> attach(AttachStandby request) {
    cancelDrop(request.domain());
    unusedSince.put(request.domain(), scheduler.nanoTime());
    CompletableFuture<Void> drop =
        runningDrops.getOrDefault(request.domain(), CompletableFuture.completedFuture(null));
    return drop.handle((done, failure) -> null).thenCompose(nothing -> relay.attach(request));
  }

  private void cancelDrop(UUID domain) {
    Runnable planned = plannedDrops.remove(domain);
    if (planned != null) {
      planned.run();
    }
  }

  /** A domain stopped here: its standbys go, unless it is active after all. */
  void domainStopped(UUID domain, String name) {
    plannedDrops.computeIfAbsent(
        domain, key -> scheduler.schedule(DROP_DELAY, () -> dropIfUnused(domain, name)));
  }

  private void dropIfUnused(UUID domain, String name) {
    Runnable plan = plannedDrops.get(domain);
    scheduler.then(
        hypervisor.domain(domain),
        info -> {
          if (info.filter(DomainInfo::active).isPresent()) {
            plannedDrops.remove(domain, plan);
            return;
          }
          scheduler.then(
              relay.status(),
              status -> {
                List<VolumeStatus> unneeded = standbysOf(status, domain);
                // An attach that came meanwhile has removed the plan.
                if (plannedDrops.remove(domain, plan) && !unneeded.isEmpty()) {
                  drop(domain, name, unneeded);
                }
              },
              reason -> leaveToReconciliation(domain, name, plan, reason));
        },
        reason -> leaveToReconciliation(domain, name, plan, reason));
  }

  private void leaveToReconciliation(UUID domain, String name, Runnable plan, String reason) {
    plannedDrops.remove(domain, plan);
    log.debug("domain {}: whether its standbys are needed is not known: {}", name, reason);
  }

  private static List<VolumeStatus> standbysOf(RelayStatus status, UUID domain) {
    return status.volumes().stream()
        .filter(v -> v.state() == VolumeState.STANDBY && domain.equals(v.domain()))
        .toList();
  }

  private void drop(UUID domain, String name, List<VolumeStatus> unneeded) {
    CompletableFuture<Void> drop = relay.drop(domain);
    runningDrops.put(domain, drop);
    scheduler.then(
        drop,
        nothing -> {
          runningDrops.remove(domain, drop);
          unusedSince.remove(domain);
          DomainLog.aboutVolumes(log.atInfo(), domain, unneeded)
              .log("domain {}: its standbys are dropped, it is not active here", name);
          timeline.add(name, "standby", "dropped: the domain is not active here");
        },
        reason -> {
          runningDrops.remove(domain, drop);
          DomainLog.aboutVolumes(log.atWarn(), domain, unneeded)
              .log("domain {}: its standbys can't be dropped yet: {}", name, reason);
        });
  }

  /** Drops standbys that have had no active domain for {@link #NO_DOMAIN_GRACE}. */
  void reconcile(Set<UUID> activeDomains, RelayStatus status) {
    Set<UUID> unused =
        status.volumes().stream()
            .filter(volume -> volume.state() == VolumeState.STANDBY)
            .map(VolumeStatus::domain)
            .filter(Objects::nonNull)
            .filter(domain -> !activeDomains.contains(domain))
            .collect(Collectors.toSet());
    long now = scheduler.nanoTime();
    unusedSince
        .entrySet()
        .removeIf(e -> !unused.contains(e.getKey()) && expired(e.getValue(), now));
    for (UUID domain : activeDomains) {
      unusedSince.remove(domain);
    }
    for (UUID domain : unused) {
      if (expired(unusedSince.computeIfAbsent(domain, key -> now), now)) {
        domainStopped(domain, domain.toString());
      }
    }
  }

  private static boolean expired(long since, long now) {
    return now - since > NO_DOMAIN_GRACE.toNanos();
  }

  /** Whether a hook attached standbys for the domain so recently that it may yet appear. */
  boolean expected(UUID domain) {
    Long since = unusedSince.get(domain);
    return since != null && !expired(since, scheduler.nanoTime());
  }
}
