// SPDX-License-Identifier: Apache-2.0
package io.vmferry.coordinator.migration;

import io.vmferry.api.RelayStatus;
import io.vmferry.api.Timeline;
import io.vmferry.coordinator.hypervisor.DomainInfo;
import io.vmferry.coordinator.hypervisor.Hypervisor;
import io.vmferry.coordinator.hypervisor.VmferryDisk;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.UUID;
import java.util.function.Predicate;
import java.util.stream.Collectors;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.slf4j.spi.LoggingEventBuilder;

/**
 * Lets a guest run again that QEMU paused because its relay was gone. QEMU connects again with a
 * back-off of its own, so the first resumes may end in the same pause. On the coordinator's thread.
 */
final class IoErrorPauses {
  private static final Logger log = LoggerFactory.getLogger(IoErrorPauses.class);

  private static final List<Duration> PAUSES =
      List.of(
          Duration.ofSeconds(1),
          Duration.ofSeconds(2),
          Duration.ofSeconds(4),
          Duration.ofSeconds(5));

  /** A guest that has run this long after a resume stays running. */
  static final Duration STABLE = Duration.ofSeconds(10);

  private final Scheduler scheduler;
  private final Hypervisor hypervisor;
  private final Relay relay;
  private final Timeline timeline;
  private final Map<UUID, Loop> loops = new HashMap<>();

  IoErrorPauses(Scheduler scheduler, Hypervisor hypervisor, Relay relay, Timeline timeline) {
    this.scheduler = scheduler;
    this.hypervisor = hypervisor;
    this.relay = relay;
    this.timeline = timeline;
  }

  /** A domain had an I/O error, or was found paused, maybe by one. */
  void ioError(UUID domain, String name) {
    if (!loops.containsKey(domain)) {
      Loop loop = new Loop(domain, name);
      loops.put(domain, loop);
      loop.schedule();
    }
  }

  /** Attempts for one domain, until it stays running or is not ours to resume any more. */
  private final class Loop {
    private final UUID domain;
    private final String name;
    private final Backoff backoff = new Backoff(scheduler, PAUSES);
    private boolean resumed;
    private long runsSince;
    private boolean runs;

    Loop(UUID domain, String name) {
      this.domain = domain;
      this.name = name;
    }

    void schedule() {
      scheduler.schedule(backoff.next(), this::look);
    }

    private void look() {
      scheduler.then(hypervisor.domain(domain), this::decide, this::retry);
    }

    private void decide(Optional<DomainInfo> found) {
      if (found.isEmpty() || !found.get().active() || found.get().disks().isEmpty()) {
        loops.remove(domain);
        return;
      }
      switch (found.get().state()) {
        case PAUSED_IO_ERROR -> pausedByError(found.get());
        // libvirt at the end of a migration takes any pause for the operator's, also that of a
        // guest whose first request failed. QEMU knows better.
        case PAUSED ->
            scheduler.then(
                hypervisor.diskErrors(domain),
                errors -> {
                  if (errors.isEmpty()) {
                    loops.remove(domain);
                  } else {
                    pausedByError(found.get());
                  }
                },
                this::retry);
        case RUNNING -> running();
        // Someone else took care of it, for example stopped it for migration.
        default -> loops.remove(domain);
      }
    }

    private void pausedByError(DomainInfo info) {
      runs = false;
      scheduler.then(relay.status(), status -> checkDisks(info, status), this::retry);
    }

    private void running() {
      long now = scheduler.nanoTime();
      if (!runs) {
        runs = true;
        runsSince = now;
      }
      if (now - runsSince < STABLE.toNanos()) {
        schedule();
        return;
      }
      loops.remove(domain);
      if (resumed) {
        about(log.atInfo()).log("domain {} runs again after an I/O error", name);
        timeline.add(name, "resume", "runs again after an I/O error");
      }
    }

    private void checkDisks(DomainInfo info, RelayStatus status) {
      Optional<String> failure =
          status.volumes().stream()
              .filter(volume -> info.volumes().contains(volume.name()) && volume.failure() != null)
              .map(volume -> "volume " + volume.name() + " is stopped: " + volume.failure())
              .findFirst();
      if (failure.isPresent()) {
        retry(failure.get());
      } else {
        scheduler.then(
            hypervisor.diskErrors(domain), errors -> resumeIfOurs(info, errors), this::retry);
      }
    }

    private void resumeIfOurs(DomainInfo info, Set<String> errors) {
      Set<String> ours = info.disks().stream().map(VmferryDisk::target).collect(Collectors.toSet());
      Optional<String> foreign = errors.stream().filter(Predicate.not(ours::contains)).findFirst();
      if (foreign.isPresent()) {
        retry(
            "disk "
                + foreign.get()
                + ", which is not a vmferry disk, had an I/O error; repair it, then run `virsh"
                + " resume "
                + name
                + "`");
      } else {
        scheduler.then(hypervisor.resume(domain), nothing -> resumed(), this::retry);
      }
    }

    private void resumed() {
      if (!resumed) {
        resumed = true;
        about(log.atInfo()).log("domain {} was paused by an I/O error and is resumed", name);
        timeline.add(name, "resume", "resumed after an I/O error");
      }
      schedule();
    }

    private LoggingEventBuilder about(LoggingEventBuilder line) {
      return DomainLog.about(line, domain, List.of());
    }

    private void retry(String reason) {
      if (backoff.worthSaying(reason)) {
        about(log.atWarn())
            .log(
                "domain {} is paused by an I/O error and not resumed yet, trying again: {}",
                name,
                reason);
        timeline.add(name, "resume", "not resumed yet: " + reason);
      }
      schedule();
    }
  }
}
