// SPDX-License-Identifier: Apache-2.0
package io.vmferry.simulation;

import io.vmferry.api.AgentStatus.DomainStatus;
import io.vmferry.coordinator.hypervisor.DomainState;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * A person who looks at {@code vmferry status} on both hosts now and then, starts the domain when
 * it runs nowhere, and does what the agents' sentences say. Nothing else brings a stuck domain on.
 */
final class Operator {
  private static final Duration LOOK = Duration.ofSeconds(2);

  /** How long something must have looked wrong: agents may yet mend it themselves. */
  private static final Duration PATIENCE = Duration.ofSeconds(40);

  private final World world;
  private final Map<String, Long> since = new HashMap<>();
  private final Map<Host, DomainStatus> shown = new HashMap<>();
  private boolean starting;
  private String refusal;
  private int starts;
  private int destroyed;

  Operator(World world) {
    this.world = world;
  }

  void begin() {
    world.after(LOOK, this::look);
  }

  /** Why the domain could not be started last; null if it could. */
  String refusal() {
    return refusal;
  }

  int starts() {
    return starts;
  }

  int destroyed() {
    return destroyed;
  }

  /** What the agent of a host shows of the domain; null if nothing. */
  DomainStatus shown(Host host) {
    return shown.get(host);
  }

  private void look() {
    world.hosts().forEach(this::readStatus);
    if (!world.isMigrating() && !starting) {
      act();
    }
    world.after(LOOK, this::look);
  }

  private void readStatus(Host host) {
    if (host.agent() == null) {
      shown.remove(host);
    } else {
      var unused =
          host.agent()
              .coordinator()
              .domains()
              .thenAccept(
                  domains -> {
                    shown.remove(host);
                    domains.forEach(domain -> shown.put(host, domain));
                  });
    }
  }

  private void act() {
    List<LibvirtDomain> active =
        world.hosts().stream()
            .map(world::domain)
            .filter(domain -> domain != null && domain.isActive())
            .toList();
    for (LibvirtDomain domain : active) {
      if (mustGo(domain, active) && domain.host().libvirtd().isAlive()) {
        world.trace().add("operator destroys the domain at " + domain.host());
        destroyed++;
        since.clear();
        domain.host().libvirtd().destroy(domain);
        return;
      }
    }
    if (lasts("nowhere", active.isEmpty(), Duration.ofSeconds(3))) {
      Host where = world.hosts().get(world.random().nextInt(world.hosts().size()));
      start(where);
    }
  }

  private boolean mustGo(LibvirtDomain domain, List<LibvirtDomain> active) {
    Host host = domain.host();
    DomainStatus status = shown.get(host);
    boolean advised =
        status != null
            && domain.state() != DomainState.RUNNING
            && status.note() != null
            && status.note().contains("run `virsh destroy");
    if (lasts("advised " + host, advised, PATIENCE)) {
      world.trace().add("it is said at " + host + ": " + status.note());
      return true;
    }
    boolean second =
        active.size() > 1
            && active.stream().noneMatch(LibvirtDomain::isStoppedToMigrate)
            && world.disks().stream().noneMatch(disk -> world.owns(host, disk));
    if (!lasts("second " + host, second, PATIENCE)) {
      return false;
    }
    if (world.isHealed() && !domain.qemu().isIdle() && !isExplained(host)) {
      throw world.violation("nobody says at " + host + " what the second guest waits for");
    }
    return true;
  }

  private boolean isExplained(Host host) {
    return !host.relay().isAlive()
        || world.disks().stream()
            .map(disk -> host.relay().volume(disk.volume()))
            .anyMatch(volume -> volume != null && volume.status().waitingFor() != null);
  }

  private boolean lasts(String what, boolean holds, Duration howLong) {
    if (!holds) {
      since.remove(what);
      return false;
    }
    long now = world.time().nanoTime();
    return now - since.computeIfAbsent(what, key -> now) >= howLong.toNanos();
  }

  /** {@code virsh create}, or {@code start} where it is defined. */
  void start(Host host) {
    starting = true;
    world.trace().add("operator starts the domain at " + host);
    String owner =
        world.disks().stream()
            .flatMap(disk -> world.hosts().stream().filter(each -> world.owns(each, disk)))
            .map(Host::name)
            .findFirst()
            .orElse(null);
    // The XML at hand may name the owner, an older one, or nobody.
    String named = world.random().nextInt(3) == 0 ? null : owner;
    host.libvirtd()
        .start(
            World.DOMAIN,
            named,
            world.isPersistent(),
            problem -> {
              starting = false;
              refusal = problem;
              if (problem == null) {
                starts++;
              }
              world.trace().add("started at " + host + ": " + problem);
            });
    // A libvirtd that is killed answers nobody.
    world.after(Duration.ofSeconds(90), () -> starting = false);
  }
}
