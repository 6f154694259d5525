// SPDX-License-Identifier: Apache-2.0
package io.vmferry.coordinator.migration;

import io.vmferry.api.AgentStatus.DomainStatus;
import io.vmferry.api.AttachStandby;
import io.vmferry.api.RelayStatus;
import io.vmferry.api.Timeline;
import io.vmferry.api.VolumeState;
import io.vmferry.api.VolumeStatus;
import io.vmferry.config.Config;
import io.vmferry.coordinator.hypervisor.DomainEvent;
import io.vmferry.coordinator.hypervisor.DomainInfo;
import io.vmferry.coordinator.hypervisor.DomainState;
import io.vmferry.coordinator.hypervisor.DomainXml;
import io.vmferry.coordinator.hypervisor.Hypervisor;
import io.vmferry.coordinator.hypervisor.VmferryDisk;
import java.time.Duration;
import java.time.InstantSource;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import java.util.function.Function;
import java.util.stream.Collectors;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Follows the domains of this host and steers the relay.
 *
 * <p>Public methods may be called from any thread; all else is on the scheduler.
 */
public final class Coordinator implements Hypervisor.Listener {
  private static final Logger log = LoggerFactory.getLogger(Coordinator.class);

  /** How long a missed event goes unnoticed. */
  static final Duration RECONCILE_INTERVAL = Duration.ofSeconds(10);

  private final String node;
  private final Scheduler scheduler;
  private final Hypervisor hypervisor;
  private final Relay relay;
  private final Timeline timeline;
  private final Migrations migrations;
  private final Takeovers takeovers;
  private final Standbys standbys;
  private final IoErrorPauses ioErrorPauses;
  private final LeftPausedDomains leftPaused;
  private final LinkOutages linkOutages;
  private final Retirement retirement;

  /** Domains with vmferry disks, as last read. */
  private final Map<UUID, DomainInfo> known = new HashMap<>();

  private final Set<UUID> markingOwner = new HashSet<>();
  private boolean reconciling;

  /**
   * @param node this node's name, as its peers know it
   * @param pauseAfter how long the link to an origin may be down before a guest that waits for it
   *     is paused; empty for never
   * @param pauseMarks remembers which guests were paused
   * @param retention what becomes of copies of volumes that have left
   * @param wallClock the clock that the relay of this host goes by when it notes a time
   */
  public Coordinator(
      String node,
      Scheduler scheduler,
      Hypervisor hypervisor,
      Relay relay,
      Timeline timeline,
      Optional<Duration> pauseAfter,
      PauseMarks pauseMarks,
      Config.Retention retention,
      InstantSource wallClock) {
    this.node = node;
    this.scheduler = scheduler;
    this.hypervisor = hypervisor;
    this.relay = relay;
    this.timeline = timeline;
    this.migrations = new Migrations(timeline);
    this.takeovers = new Takeovers(scheduler, hypervisor, relay, timeline, migrations, this::look);
    this.standbys = new Standbys(scheduler, hypervisor, relay, timeline);
    this.ioErrorPauses = new IoErrorPauses(scheduler, hypervisor, relay, timeline);
    this.leftPaused =
        new LeftPausedDomains(node, scheduler, hypervisor, relay, timeline, migrations);
    this.linkOutages =
        new LinkOutages(
            scheduler,
            hypervisor,
            relay,
            timeline,
            migrations,
            pauseAfter,
            pauseMarks,
            known::values);
    this.retirement = new Retirement(scheduler, relay, timeline, retention, wallClock);
  }

  /** Starts the hypervisor and the reconciliation. */
  public void start() {
    hypervisor.start(this);
    scheduler.execute(this::reconcileAgainAndAgain);
    scheduler.execute(linkOutages::start);
  }

  @Override
  public void connected() {
    scheduler.execute(
        () -> {
          timeline.add(node, "libvirt", "connected");
          reconcile();
        });
  }

  @Override
  public void disconnected(String reason) {
    scheduler.execute(() -> timeline.add(node, "libvirt", reason));
  }

  @Override
  public void event(DomainEvent event) {
    scheduler.execute(() -> onEvent(event));
  }

  /**
   * A hook asks for the volumes of a domain that is about to come here or to start here.
   *
   * @param migration whether it comes by migration
   * @return fails with {@link io.vmferry.api.ProblemException} if the volumes can't be had
   */
  public CompletableFuture<Void> attach(DomainXml domain, boolean migration) {
    List<String> volumes = domain.disks().stream().map(VmferryDisk::volume).distinct().toList();
    // A VM that starts here must not fail for what its metadata says of migrations.
    String preCopy = migration ? domain.preCopy() : null;
    AttachStandby request = new AttachStandby(domain.uuid(), volumes, domain.owner(), preCopy);
    return CompletableFuture.<Void>completedFuture(null)
        .thenComposeAsync(nothing -> standbys.attach(request), scheduler)
        .thenRunAsync(
            () -> {
              if (migration) {
                migrations.signal(domain.uuid(), domain.name(), MigrationState.Signal.ATTACHED);
              }
            },
            scheduler);
  }

  /** A hook says that a domain has stopped here. Answers at once; libvirt is asked later. */
  public void stopped(UUID domain, String name) {
    scheduler.execute(() -> standbys.domainStopped(domain, name));
  }

  /** Whether the domain is here as the destination of a migration that has not resumed it yet. */
  public boolean incoming(UUID domain) {
    return migrations.state(domain) == MigrationState.RESERVED;
  }

  /** The domains with vmferry disks, by name. */
  public CompletableFuture<List<DomainStatus>> domains() {
    return CompletableFuture.supplyAsync(
        () ->
            known.values().stream()
                .sorted(Comparator.comparing(DomainInfo::name))
                .map(
                    domain ->
                        new DomainStatus(
                            domain.name(),
                            domain.uuid(),
                            domain.state().toString(),
                            domain.volumes(),
                            migrations.state(domain.uuid()).phase(),
                            note(domain.uuid())))
                .toList(),
        scheduler);
  }

  private String note(UUID domain) {
    String note = leftPaused.note(domain);
    return note == null ? linkOutages.note(domain) : note;
  }

  private void onEvent(DomainEvent event) {
    boolean ours =
        known.containsKey(event.domain())
            || migrations.state(event.domain()) != MigrationState.IDLE;
    if (ours) {
      apply(event);
      return;
    }
    // Most domains of a host may have no vmferry disks; this one may also be new.
    scheduler.then(
        hypervisor.domain(event.domain()),
        found -> {
          if (found.filter(Coordinator::isOurs).isPresent()) {
            known.put(event.domain(), found.get());
            apply(event);
          } else if (isStop(event)) {
            standbys.domainStopped(event.domain(), event.name());
          }
        },
        reason -> log.debug("domain {}: {} not looked at: {}", event.name(), event.text(), reason));
  }

  private static boolean isStop(DomainEvent event) {
    return switch (event.kind()) {
      case STOPPED, STOPPED_FAILED, STOPPED_MIGRATED -> true;
      default -> false;
    };
  }

  private void apply(DomainEvent event) {
    timeline.add(event.name(), "libvirt", event.text());
    migrations.event(event);
    DomainInfo domain = known.get(event.domain());
    switch (event.kind()) {
      case STARTED, RESUMED, RESUMED_MIGRATED, RESUMED_POSTCOPY -> {
        List<String> volumes = domain == null ? List.of() : domain.volumes();
        takeovers.guestRuns(event.domain(), event.name(), volumes);
        linkOutages.resumed(event.domain(), event.name());
        look(event.domain());
      }
      case STOPPED, STOPPED_MIGRATED, STOPPED_FAILED -> {
        takeovers.guestStopped(event.domain());
        linkOutages.stopped(event.domain());
        standbys.domainStopped(event.domain(), event.name());
        look(event.domain());
      }
      case SUSPENDED_IO_ERROR, IO_ERROR -> {
        ioErrorPauses.ioError(event.domain(), event.name());
        look(event.domain());
      }
      case MIGRATION_ITERATION, JOB_COMPLETED -> {}
      case DEFINED,
          UNDEFINED,
          STARTED_MIGRATED,
          SUSPENDED,
          SUSPENDED_MIGRATED,
          SUSPENDED_POSTCOPY,
          OTHER ->
          look(event.domain());
    }
  }

  /** Reads one domain again and does for it what is due. */
  private void look(UUID domain) {
    scheduler.then(
        hypervisor.domain(domain),
        found -> {
          if (found.filter(Coordinator::isOurs).isEmpty()) {
            known.remove(domain);
            return;
          }
          known.put(domain, found.get());
          scheduler.then(
              relay.status(),
              status -> decide(domain, Optional.of(status)),
              reason -> decide(domain, Optional.empty()));
        },
        reason -> log.debug("domain {} not looked at: {}", domain, reason));
  }

  /** A transient domain that has just stopped may still be listed for a moment; it is nobody's. */
  private static boolean isOurs(DomainInfo domain) {
    return !domain.definedVolumes().isEmpty() || (domain.active() && !domain.disks().isEmpty());
  }

  /** What is due for a domain, whatever events there were. Goes by what was read of it last. */
  private void decide(UUID uuid, Optional<RelayStatus> relayStatus) {
    DomainInfo domain = known.get(uuid);
    if (domain == null) {
      return;
    }
    if (domain.state() == DomainState.PAUSED_IO_ERROR || domain.state() == DomainState.PAUSED) {
      ioErrorPauses.ioError(domain.uuid(), domain.name());
    }
    leftPaused.seen(domain, relayStatus);
    if (domain.state() != DomainState.RUNNING || relayStatus.isEmpty()) {
      return;
    }
    RelayStatus status = relayStatus.get();
    if (!Takeovers.notOwned(status, domain.uuid(), domain.volumes()).isEmpty()) {
      takeovers.guestRuns(domain.uuid(), domain.name(), domain.volumes());
    } else if (ownedHere(domain, status)) {
      markOwner(domain);
    }
  }

  private static boolean ownedHere(DomainInfo domain, RelayStatus status) {
    Map<String, VolumeState> states =
        status.volumes().stream()
            .collect(Collectors.toMap(VolumeStatus::name, VolumeStatus::state));
    return !domain.volumes().isEmpty()
        && domain.volumes().stream()
            .map(states::get)
            .allMatch(state -> state == VolumeState.SERVING || state == VolumeState.FETCHING);
  }

  /**
   * Names this node in the domain's metadata, so that the next destination knows whom to ask. Not
   * during a migration: libvirt would let the call wait for its end.
   */
  private void markOwner(DomainInfo domain) {
    if (node.equals(domain.owner())
        || migrations.state(domain.uuid()) != MigrationState.IDLE
        || !markingOwner.add(domain.uuid())) {
      return;
    }
    // Read again: what was read before may be older than our own last write.
    CompletableFuture<Boolean> written =
        hypervisor
            .domain(domain.uuid())
            .thenCompose(
                latest ->
                    latest.isEmpty() || node.equals(latest.get().owner())
                        ? CompletableFuture.completedFuture(false)
                        : hypervisor.setOwner(domain.uuid(), node).thenApply(nothing -> true));
    scheduler.then(
        written,
        changed -> {
          markingOwner.remove(domain.uuid());
          if (changed) {
            timeline.add(domain.name(), "owner", "metadata names " + node);
          }
        },
        reason -> {
          markingOwner.remove(domain.uuid());
          DomainLog.about(log.atInfo(), domain.uuid(), domain.volumes())
              .log("domain {}: owner not written to its metadata yet: {}", domain.name(), reason);
        });
  }

  private void reconcileAgainAndAgain() {
    reconcile();
    scheduler.schedule(RECONCILE_INTERVAL, this::reconcileAgainAndAgain);
  }

  private void reconcile() {
    if (reconciling) {
      return;
    }
    reconciling = true;
    scheduler.then(
        hypervisor.domains(),
        domains -> {
          known.clear();
          known.putAll(
              domains.stream().collect(Collectors.toMap(DomainInfo::uuid, Function.identity())));
          scheduler.then(
              relay.status(),
              status -> reconcile(domains, Optional.of(status)),
              reason -> reconcile(domains, Optional.empty()));
        },
        reason -> reconciling = false);
  }

  private void reconcile(List<DomainInfo> domains, Optional<RelayStatus> relayStatus) {
    reconciling = false;
    reconcileMigrations(domains);
    leftPaused.retain(domains.stream().map(DomainInfo::uuid).collect(Collectors.toSet()));
    domains.forEach(domain -> decide(domain.uuid(), relayStatus));
    if (relayStatus.isPresent()) {
      standbys.reconcile(
          domains.stream()
              .filter(DomainInfo::active)
              .map(DomainInfo::uuid)
              .collect(Collectors.toSet()),
          relayStatus.get());
      retirement.reconcile(domains, relayStatus.get());
    }
  }

  /** Ends migrations whose last event was missed or never comes. */
  private void reconcileMigrations(List<DomainInfo> domains) {
    Map<UUID, DomainInfo> active =
        domains.stream()
            .filter(DomainInfo::active)
            .collect(Collectors.toMap(DomainInfo::uuid, Function.identity()));
    for (UUID domain : migrations.underWay()) {
      DomainInfo info = active.get(domain);
      if (info == null) {
        if (!standbys.expected(domain)) {
          migrations.found(domain, MigrationState.Signal.GONE);
        }
      } else if (info.state() == DomainState.RUNNING) {
        scheduler.then(
            hypervisor.jobActive(domain),
            job -> {
              if (!job) {
                migrations.found(domain, MigrationState.Signal.NO_JOB);
              }
            },
            reason -> log.debug("domain {}: its job is not known: {}", info.name(), reason));
      }
    }
  }
}
