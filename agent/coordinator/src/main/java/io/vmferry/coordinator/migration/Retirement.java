// SPDX-License-Identifier: Apache-2.0
package io.vmferry.coordinator.migration;

import io.vmferry.api.RelayStatus;
import io.vmferry.api.Timeline;
import io.vmferry.api.VolumeState;
import io.vmferry.api.VolumeStatus;
import io.vmferry.config.Config;
import io.vmferry.coordinator.hypervisor.DomainInfo;
import java.time.Duration;
import java.time.Instant;
import java.time.InstantSource;
import java.util.Comparator;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Deletes copies that nobody needs here: the new owner holds everything, durably, and no domain
 * defined here would start from them. How long and how many of them stay all the same, so that the
 * way back is cheap, is configured. The relay refuses a deletion if it knows better. On the
 * coordinator's thread.
 */
final class Retirement {
  private static final Logger log = LoggerFactory.getLogger(Retirement.class);

  /** A copy whose time isn't known is the oldest. */
  private static final Comparator<VolumeStatus> NEWEST_FIRST =
      Comparator.comparing(
              VolumeStatus::completeSince, Comparator.nullsFirst(Comparator.naturalOrder()))
          .thenComparing(VolumeStatus::name)
          .reversed();

  private final Scheduler scheduler;
  private final Relay relay;
  private final Timeline timeline;
  private final Config.Retention retention;
  private final InstantSource wallClock;
  private final Set<String> retiring = new HashSet<>();

  /**
   * @param wallClock the clock by which the relay noted since when a volume is complete elsewhere.
   *     If it is set back, copies stay longer; if it is set forward, they go earlier. Neither loses
   *     anything but a cheap way back
   */
  Retirement(
      Scheduler scheduler,
      Relay relay,
      Timeline timeline,
      Config.Retention retention,
      InstantSource wallClock) {
    this.scheduler = scheduler;
    this.relay = relay;
    this.timeline = timeline;
    this.retention = retention;
    this.wallClock = wallClock;
  }

  /** Deletes what is due. */
  void reconcile(List<DomainInfo> domains, RelayStatus status) {
    List<VolumeStatus> copies =
        status.volumes().stream()
            .filter(volume -> isUnneededCopy(volume, domains))
            .sorted(NEWEST_FIRST)
            .toList();
    for (int i = 0; i < copies.size(); i++) {
      VolumeStatus copy = copies.get(i);
      if (i >= retention.keepCopies().orElse(Integer.MAX_VALUE) || isExpired(copy)) {
        delete(copy);
      }
    }
  }

  private static boolean isUnneededCopy(VolumeStatus volume, List<DomainInfo> domains) {
    return volume.state() == VolumeState.RELEASED
        && volume.completeAt() != null
        && volume.clients() == 0
        && domains.stream().noneMatch(domain -> domain.uses(volume.name()));
  }

  private boolean isExpired(VolumeStatus copy) {
    if (retention.keepFor().isEmpty()) {
      return false;
    }
    Duration keepFor = retention.keepFor().get();
    Instant since = copy.completeSince();
    // At once means at once, even if the clock was set back since.
    return keepFor.isZero()
        || since == null
        || Duration.between(since, wallClock.instant()).compareTo(keepFor) >= 0;
  }

  private void delete(VolumeStatus copy) {
    if (!retiring.add(copy.name())) {
      return;
    }
    String detail = "deleted here: complete at " + copy.completeAt();
    scheduler.then(
        relay.delete(copy.name()),
        nothing -> {
          retiring.remove(copy.name());
          DomainLog.aboutVolumes(log.atInfo(), copy.domain(), List.of(copy))
              .log("volume {} {}", copy.name(), detail);
          timeline.add(copy.name(), "retire", detail);
        },
        reason -> {
          retiring.remove(copy.name());
          DomainLog.aboutVolumes(log.atInfo(), copy.domain(), List.of(copy))
              .log("volume {} not deleted yet: {}", copy.name(), reason);
        });
  }
}
