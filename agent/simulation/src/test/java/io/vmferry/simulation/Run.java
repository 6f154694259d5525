// SPDX-License-Identifier: Apache-2.0
package io.vmferry.simulation;

import io.vmferry.api.AgentStatus.DomainStatus;
import io.vmferry.api.CreateVolume;
import io.vmferry.api.VolumeState;
import io.vmferry.coordinator.hypervisor.DomainState;
import io.vmferry.relay.history.BlockHistory.Kind;
import io.vmferry.relay.volume.Volume;
import java.time.Duration;
import java.util.List;
import java.util.Random;
import java.util.concurrent.CompletableFuture;
import java.util.function.BooleanSupplier;
import java.util.function.Supplier;

/**
 * One seed, in two phases. Safety: the domain moves to and fro while everything fails; nothing may
 * be wrong. Liveness: nothing fails any more; within bounded time everything that must happen does.
 */
final class Run {
  private static final Duration STEP = Duration.ofMillis(20);

  /** After which something that must happen counts as never happening. */
  private static final Duration PATIENCE = Duration.ofMinutes(15);

  private static final int MAX_MOVES = 6;
  private static final int CHUNK_SECTORS = 64;

  private final World world;
  private final Operator operator;
  private final Faults faults;
  private final Random random;
  private int moves;

  Run(long seed) {
    world = new World(seed);
    operator = new Operator(world);
    faults = new Faults(world, seed % 8 != 0);
    random = world.random();
  }

  World world() {
    return world;
  }

  Figures figures() {
    long operations = world.disks().stream().mapToLong(disk -> disk.history().operations()).sum();
    return new Figures(1, operations, moves, faults.counts(), operator.starts());
  }

  /** Goes through both phases. Returns a fingerprint of everything that happened, and when. */
  long go() {
    begin();
    safety();
    liveness();
    return world.trace().fingerprint();
  }

  private void begin() {
    for (Host host : world.hosts()) {
      host.startRelay();
      host.startLibvirtd();
      host.startAgent();
    }
    for (GuestDisk disk : world.disks()) {
      CompletableFuture<?> created =
          world
              .a()
              .relay()
              .volumes()
              .create(new CreateVolume(disk.volume(), (long) disk.sectors() * GuestDisk.SECTOR));
      until("the volume is created", created::isDone, () -> "");
    }
    operator.start(world.a());
    until("the domain runs", () -> runner() != null, operator::refusal);
    fill(runningQemu());
    operator.begin();
  }

  /** An empty disk would have nothing to fetch. */
  private void fill(Qemu qemu) {
    for (QemuDisk disk : qemu.disks()) {
      for (int first = 0; first < disk.content().sectors(); first += CHUNK_SECTORS) {
        disk.submit(
            new DiskRequest(world, disk, Kind.WRITE, first, CHUNK_SECTORS, false, () -> {}));
      }
    }
    pass(Duration.ofMillis(500));
  }

  private void safety() {
    faults.begin();
    int wanted = 1 + random.nextInt(MAX_MOVES);
    for (int i = 0; i < wanted; i++) {
      pass(pauseBetweenMoves());
      Host from = runner();
      if (from != null && !world.isMigrating() && mayMigrate(from)) {
        Migration migration = new Migration(world, from, world.other(from), world.domain(from));
        faults.aimAt(migration);
        world.start(migration);
        until("the migration is over", migration::isOver, () -> migration.phase().toString());
        moves += migration.succeeded() ? 1 : 0;
      }
    }
    pass(Duration.ofMillis(random.nextInt(20_000)));
    faults.end();
  }

  private Duration pauseBetweenMoves() {
    int most =
        switch (random.nextInt(4)) {
          case 0 -> 300;
          case 1 -> 3_000;
          default -> 30_000;
        };
    return Duration.ofMillis(50 + random.nextInt(most));
  }

  private boolean mayMigrate(Host from) {
    LibvirtDomain domain = world.domain(from);
    return from.libvirtd().isAlive() && domain.state() == DomainState.RUNNING && !domain.isBusy();
  }

  private void liveness() {
    world.trace().add("nothing fails any more");
    until("all is settled", () -> unsettled() == null, this::unsettled);
    world.beQuiet();
    Qemu qemu = runningQemu();
    until("all requests are answered", () -> qemu.waiting() == 0, () -> "");
    for (QemuDisk disk : qemu.disks()) {
      for (int first = 0; first < disk.content().sectors(); first += CHUNK_SECTORS) {
        disk.submit(new DiskRequest(world, disk, Kind.READ, first, CHUNK_SECTORS, false, () -> {}));
      }
    }
    until("all is read", () -> qemu.waiting() == 0, () -> "");
    world.trace().add("the end");
  }

  private Qemu runningQemu() {
    return world.hosts().stream()
        .flatMap(host -> host.qemus().stream())
        .filter(Qemu::runs)
        .findFirst()
        .orElse(null);
  }

  /** Where the guest runs, if that is clear. */
  private Host runner() {
    List<Host> running =
        world.hosts().stream().filter(host -> host.qemus().stream().anyMatch(Qemu::runs)).toList();
    return running.size() == 1 ? running.get(0) : null;
  }

  /** What is not as it must be in the end; null if all is. */
  private String unsettled() {
    Host here = runner();
    if (here == null) {
      return "the domain does not run on just one host";
    }
    Host other = world.other(here);
    if (world.isMigrating() || world.domain(here).state() != DomainState.RUNNING) {
      return "the domain is not settled";
    }
    if (world.domain(other) != null && world.domain(other).isActive()) {
      return "the domain is active at " + other + ", too";
    }
    for (GuestDisk disk : world.disks()) {
      String problem = unsettled(disk, here, other);
      if (problem != null) {
        return "volume " + disk.volume() + " " + problem;
      }
    }
    return unsettledAgents(here, other);
  }

  private String unsettled(GuestDisk disk, Host here, Host other) {
    Volume volume = here.relay().volume(disk.volume());
    if (volume == null || volume.record().state() != VolumeState.SERVING) {
      return "is not served at " + here;
    }
    if (volume.record().origin() != null) {
      return "has an origin that was not told that it is complete";
    }
    Volume copy = other.relay().volume(disk.volume());
    if (copy == null) {
      return null;
    }
    boolean kept =
        !world.retention().equals(World.AT_ONCE)
            || (world.domain(other) != null && world.domain(other).isDefined());
    if (copy.record().state() != VolumeState.RELEASED || copy.record().completeAt() == null) {
      return "is " + copy.record().state() + " at " + other;
    }
    return kept ? null : "is not retired at " + other;
  }

  private String unsettledAgents(Host here, Host other) {
    DomainStatus status = operator.shown(here);
    if (status == null) {
      return "the agent at " + here + " does not show the domain";
    }
    if (status.phase() != 0 || status.note() != null) {
      return "the agent at " + here + " shows phase " + status.phase() + ", " + status.note();
    }
    DomainStatus elsewhere = operator.shown(other);
    if (elsewhere != null && (elsewhere.phase() != 0 || elsewhere.note() != null)) {
      return "the agent at " + other + " shows phase " + elsewhere.phase();
    }
    if (here.pauseMarks().has(World.DOMAIN) || other.pauseMarks().has(World.DOMAIN)) {
      return "a pause mark is left";
    }
    return here.name().equals(world.domain(here).owner()) ? null : "its metadata is older";
  }

  private void pass(Duration duration) {
    long end = world.time().nanoTime() + duration.toNanos();
    while (world.time().nanoTime() < end) {
      world.run(STEP);
    }
  }

  private void until(String what, BooleanSupplier holds, Supplier<String> why) {
    long end = world.time().nanoTime() + PATIENCE.toNanos();
    while (!holds.getAsBoolean()) {
      world.run(STEP);
      if (world.time().nanoTime() > end) {
        throw world.violation(
            "it never comes that " + what + ": " + why.get() + "\n" + world.describe());
      }
    }
  }
}
