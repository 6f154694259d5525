// SPDX-License-Identifier: Apache-2.0
package io.vmferry.simulation;

import io.vmferry.coordinator.hypervisor.DomainEvent;
import io.vmferry.coordinator.hypervisor.DomainEvent.Kind;
import io.vmferry.coordinator.hypervisor.DomainState;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.function.BooleanSupplier;
import java.util.function.Consumer;

/**
 * The libvirtd of a host: domains, hooks, events. While it is down its QEMUs go on, and what
 * happens to them is found out at the next start, without events.
 */
final class Libvirtd implements Qemu.Monitor {
  static final String NBD_SOCKET = "/run/vmferry/nbd.sock";
  private static final int NOTICE_NANOS = 30_000_000;
  private static final Duration JOB_LIMIT = Duration.ofSeconds(30);
  private static final Duration POLL = Duration.ofMillis(20);

  private final World world;
  private final Host host;
  private final Map<UUID, LibvirtDomain> domains = new LinkedHashMap<>();
  private final List<StubHypervisor> connections = new ArrayList<>();
  private boolean alive;
  private int life;

  Libvirtd(World world, Host host) {
    this.world = world;
    this.host = host;
  }

  Host host() {
    return host;
  }

  boolean isAlive() {
    return alive;
  }

  /** Which of its processes answers; they are counted. */
  int life() {
    return life;
  }

  /** Whether this very process still runs. */
  boolean isAlive(int whichLife) {
    return alive && life == whichLife;
  }

  Collection<LibvirtDomain> domains() {
    return domains.values();
  }

  LibvirtDomain domain(UUID uuid) {
    return domains.get(uuid);
  }

  void connect(StubHypervisor connection) {
    connections.add(connection);
  }

  void disconnect(StubHypervisor connection) {
    connections.remove(connection);
  }

  void emit(LibvirtDomain domain, Kind kind, int number) {
    if (alive) {
      DomainEvent event = new DomainEvent(domain.uuid(), "vm", kind, number);
      connections.forEach(connection -> connection.event(event));
    }
  }

  /** As kill -9. */
  void kill() {
    alive = false;
    List<StubHypervisor> lost = List.copyOf(connections);
    connections.clear();
    lost.forEach(StubHypervisor::lost);
  }

  /** Finds its domains again. */
  void start() {
    alive = true;
    life++;
    for (LibvirtDomain domain : List.copyOf(domains.values())) {
      if (domain.isActive()) {
        found(domain);
      }
    }
  }

  private void found(LibvirtDomain domain) {
    domain.setJob(null);
    if (!domain.qemu().isAlive()) {
      ended(domain, Kind.STOPPED);
    } else if (domain.isIncoming() || domain.state() == DomainState.STARTING_UP) {
      // A migration to here, or a start, that nobody will finish.
      domain.qemu().end(false);
      ended(domain, Kind.STOPPED_FAILED);
    }
  }

  /** The host is gone, and all that ran on it; what is defined stays. */
  void powerLoss() {
    alive = false;
    connections.clear();
    for (LibvirtDomain domain : List.copyOf(domains.values())) {
      domain.setQemu(null);
      domain.setJob(null);
      domain.setIncoming(false);
      domain.setState(DomainState.SHUT_OFF);
      if (!domain.isDefined()) {
        domains.remove(domain.uuid());
      }
    }
  }

  /** Does something with a domain as soon as no job is in the way, or says that it lasts long. */
  void whenNoJob(UUID uuid, Consumer<LibvirtDomain> action, Consumer<String> failed) {
    whenNoJob(uuid, action, failed, life, world.time().nanoTime() + JOB_LIMIT.toNanos());
  }

  private void whenNoJob(
      UUID uuid,
      Consumer<LibvirtDomain> action,
      Consumer<String> failed,
      int whichLife,
      long until) {
    LibvirtDomain found = domains.get(uuid);
    if (!isAlive(whichLife)) {
      failed.accept("connection closed");
    } else if (found == null || !found.isActive()) {
      failed.accept("the domain is not running");
    } else if (!found.isBusy()) {
      action.accept(found);
    } else if (world.time().nanoTime() > until) {
      failed.accept("cannot acquire state change lock");
    } else {
      world.after(POLL, () -> whenNoJob(uuid, action, failed, whichLife, until));
    }
  }

  @Override
  public void ioError(Qemu qemu, String target) {
    for (LibvirtDomain domain : domains.values()) {
      if (domain.qemu() == qemu) {
        domain.noteDiskError(target);
        emit(domain, Kind.IO_ERROR, 0);
        if (domain.state() == DomainState.RUNNING) {
          domain.setState(
              world.isFinishing(domain) ? DomainState.PAUSED : DomainState.PAUSED_IO_ERROR);
          world.trace().add("I/O error: " + domain);
          emit(domain, Kind.SUSPENDED_IO_ERROR, 0);
        }
      }
    }
  }

  /** A process ended by itself; libvirt notices. */
  void qemuDied(Qemu qemu) {
    int whichLife = life;
    world.later(
        NOTICE_NANOS,
        () -> {
          if (isAlive(whichLife)) {
            domains.values().stream()
                .filter(domain -> domain.qemu() == qemu)
                .toList()
                .forEach(domain -> ended(domain, Kind.STOPPED));
          }
        });
  }

  /** The domain's QEMU has ended: hooks, then the event. */
  void ended(LibvirtDomain domain, Kind event) {
    ended(domain, event, () -> {});
  }

  /** The same; then {@code then}, unless this libvirtd has ended. */
  void ended(LibvirtDomain domain, Kind event, Runnable then) {
    domain.setQemu(null);
    domain.setJob(null);
    domain.setIncoming(false);
    domain.setState(DomainState.SHUT_OFF);
    String xml = domain.xml();
    int whichLife = life;
    world.later(
        NOTICE_NANOS,
        () ->
            host.hook(
                "stopped",
                "end",
                xml,
                first ->
                    host.hook(
                        "release",
                        "end",
                        xml,
                        second -> {
                          if (isAlive(whichLife)) {
                            gone(domain, event);
                            then.run();
                          }
                        })));
    world.after(
        JOB_LIMIT,
        () -> {
          // A libvirtd that was killed meanwhile does not list it any more, either.
          if (!domain.isActive() && !domain.isDefined()) {
            domains.remove(domain.uuid(), domain);
          }
        });
  }

  private void gone(LibvirtDomain domain, Kind event) {
    if (domain.isActive()) {
      return;
    }
    if (!domain.isDefined()) {
      domains.remove(domain.uuid(), domain);
    }
    emit(domain, event, 0);
  }

  /** {@code virsh destroy}. */
  void destroy(LibvirtDomain domain) {
    domain.qemu().end(false);
    ended(domain, Kind.STOPPED);
  }

  /**
   * {@code virsh start} or {@code create}.
   *
   * @param done gets the reason of a failure, or null
   */
  void start(UUID uuid, String owner, boolean defined, Consumer<String> done) {
    if (!alive || (domains.containsKey(uuid) && domains.get(uuid).isActive())) {
      done.accept(alive ? "the domain is active" : "libvirtd does not answer");
      return;
    }
    LibvirtDomain domain = place(uuid, owner, defined);
    launch(
        domain,
        () -> false,
        problem -> {
          if (problem == null) {
            domain.run(Kind.STARTED);
          }
          done.accept(problem);
        });
  }

  private LibvirtDomain place(UUID uuid, String owner, boolean defined) {
    LibvirtDomain before = domains.get(uuid);
    LibvirtDomain domain =
        new LibvirtDomain(
            world, this, uuid, owner, defined || (before != null && before.isDefined()));
    domains.put(uuid, domain);
    return domain;
  }

  /**
   * The destination's part of a migration's first phase.
   *
   * @param done gets the domain, or null and the reason of a failure
   */
  void prepare(
      LibvirtDomain source,
      BooleanSupplier cancelled,
      Consumer<LibvirtDomain> placed,
      Consumer<String> done) {
    if (domains.containsKey(source.uuid()) && domains.get(source.uuid()).isActive()) {
      done.accept("the domain is active here");
      return;
    }
    int whichLife = life;
    String owner = source.owner();
    host.hook(
        "migrate",
        "begin",
        source.xml(),
        refusal -> {
          if (!isAlive(whichLife) || cancelled.getAsBoolean()) {
            return;
          }
          if (refusal != null) {
            done.accept(refusal);
            return;
          }
          if (domains.containsKey(source.uuid()) && domains.get(source.uuid()).isActive()) {
            done.accept("the domain is active here");
            return;
          }
          LibvirtDomain domain = place(source.uuid(), owner, false);
          domain.setIncoming(true);
          placed.accept(domain);
          launch(
              domain,
              cancelled,
              problem -> {
                if (problem == null) {
                  domain.setState(DomainState.PAUSED_MIGRATION);
                  emit(domain, Kind.STARTED_MIGRATED, 0);
                }
                done.accept(problem);
              });
        });
  }

  /** Starts a QEMU, up to the point where its guest could run. */
  private void launch(LibvirtDomain domain, BooleanSupplier cancelled, Consumer<String> done) {
    Qemu qemu = new Qemu(world, host, world.nextPid());
    qemu.monitoredBy(this);
    domain.setQemu(qemu);
    domain.setState(DomainState.STARTING_UP);
    int whichLife = life;
    String xml = domain.xml();
    Consumer<String> end =
        problem -> {
          if (problem == null) {
            host.qemuStarted(qemu);
            done.accept(null);
          } else if (domain.qemu() == qemu) {
            qemu.end(false);
            if (isAlive(whichLife)) {
              ended(domain, Kind.STOPPED_FAILED);
            }
            done.accept(problem);
          }
        };
    BooleanSupplier over =
        () -> {
          boolean mine = isAlive(whichLife) && domain.qemu() == qemu && qemu.isAlive();
          if (mine && cancelled.getAsBoolean()) {
            end.accept("cancelled");
          }
          return !mine || cancelled.getAsBoolean();
        };
    host.hook(
        "prepare",
        "begin",
        xml,
        refused -> {
          if (over.getAsBoolean()) {
            return;
          }
          if (refused != null) {
            end.accept(refused);
            return;
          }
          host.hook(
              "start",
              "begin",
              xml,
              again -> {
                if (over.getAsBoolean()) {
                  return;
                }
                if (again != null) {
                  end.accept(again);
                  return;
                }
                world.trace().add(qemu + " starts");
                host.qemuStarted(qemu);
                openDisks(qemu, 0, over, end);
              });
        });
  }

  private void openDisks(Qemu qemu, int index, BooleanSupplier over, Consumer<String> end) {
    if (index == qemu.disks().size()) {
      readFirstSectors(qemu, over, end);
      return;
    }
    qemu.disks()
        .get(index)
        .open(
            problem -> {
              if (over.getAsBoolean()) {
                return;
              }
              if (problem == null) {
                openDisks(qemu, index + 1, over, end);
              } else {
                end.accept("QEMU: " + problem);
              }
            });
  }

  /** One read of 512 bytes per disk. */
  private void readFirstSectors(Qemu qemu, BooleanSupplier over, Consumer<String> end) {
    qemu.disks().forEach(QemuDisk::readFirstSector);
    awaitFirstSectors(qemu, over, end);
  }

  private void awaitFirstSectors(Qemu qemu, BooleanSupplier over, Consumer<String> end) {
    if (over.getAsBoolean()) {
      return;
    }
    if (qemu.hasFailed()) {
      end.accept("QEMU: I/O error");
    } else if (qemu.isIdle()) {
      end.accept(null);
    } else {
      world.after(POLL, () -> awaitFirstSectors(qemu, over, end));
    }
  }
}
