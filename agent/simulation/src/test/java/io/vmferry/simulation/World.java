// SPDX-License-Identifier: Apache-2.0
package io.vmferry.simulation;

import io.vmferry.api.VolumeState;
import io.vmferry.config.Config;
import io.vmferry.config.PreCopyMode;
import io.vmferry.coordinator.hypervisor.DomainState;
import io.vmferry.relay.sim.VirtualTime;
import io.vmferry.relay.volume.VolumeRecord;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import java.util.Set;
import java.util.UUID;

/** Two hosts, a link, one domain with its disks, and what must be true of them at all times. */
final class World {
  static final UUID DOMAIN = new UUID(0x6b6c7a2e5a0e4f0aL, 0x9d0e2f4a9f1d3c11L);
  private static final int SMALL_SECTORS = 500;

  /** Several requests of the background copy: with a cap it takes long. */
  private static final int LARGE_SECTORS = 6_000;

  private static final int MAX_COPY_SECONDS = 150;

  /**
   * From an agent's word that a guest has stopped to the release: the question's limit and more.
   */
  private static final Duration LATE = Duration.ofSeconds(5);

  /** A copy that is complete elsewhere goes at once. */
  static final Config.Retention AT_ONCE =
      new Config.Retention(Optional.of(Duration.ZERO), Optional.empty());

  private final Random random;
  private final VirtualTime time = new VirtualTime();
  private final Trace trace = new Trace(time);
  private final List<GuestDisk> disks = new ArrayList<>();
  private final Network network;
  private final Host a;
  private final Host b;
  private final int thinkNanos;
  private final long eventDelayNanos;
  private final Optional<Duration> pauseAfter;
  private final Config.Retention retention;
  private final boolean keepsDefinition;
  private final Set<String> owned = new HashSet<>();
  private Migration migration;
  private boolean quiet;
  private boolean healed;
  private int lastPid = 100;
  private AssertionError violation;

  /** libvirt lets a guest run at the source though it may run at the destination. */
  private boolean libvirtRanBoth;

  World(long seed) {
    random = new Random(seed);
    int count = random.nextInt(3) == 0 ? 2 : 1;
    boolean large = random.nextInt(3) == 0;
    for (int i = 0; i < count; i++) {
      int sectors = 100 + random.nextInt(large ? LARGE_SECTORS : SMALL_SECTORS);
      disks.add(new GuestDisk("vol" + i, "vd" + (char) ('a' + i), sectors));
    }
    thinkNanos = 1_000_000 * (20 + random.nextInt(300));
    eventDelayNanos = 1_000_000L * (1 + random.nextInt(random.nextInt(4) == 0 ? 2000 : 20));
    pauseAfter =
        random.nextInt(4) == 0
            ? Optional.empty()
            : Optional.of(Duration.ofSeconds(5 + random.nextInt(20)));
    retention =
        random.nextInt(3) == 0
            ? new Config.Retention(Optional.of(Duration.ofMinutes(3)), Optional.of(1))
            : AT_ONCE;
    keepsDefinition = random.nextInt(4) == 0;
    network = new Network(this);
    a = new Host(this, "a");
    b = new Host(this, "b");
    network.join(a, b);
    if (random.nextInt(3) != 0) {
      // The copy takes a minute or two: most of what happens then happens in fetch mode.
      long size = disks.stream().mapToLong(GuestDisk::sectors).sum() * GuestDisk.SECTOR;
      long cap = size / (10 + random.nextInt(MAX_COPY_SECONDS));
      hosts().forEach(host -> host.relay().capCopy(cap));
    }
    PreCopyMode[] modes = PreCopyMode.values();
    hosts().forEach(host -> host.relay().preCopy(modes[random.nextInt(modes.length)]));
  }

  Random random() {
    return random;
  }

  VirtualTime time() {
    return time;
  }

  Trace trace() {
    return trace;
  }

  Network network() {
    return network;
  }

  List<GuestDisk> disks() {
    return disks;
  }

  Host a() {
    return a;
  }

  Host b() {
    return b;
  }

  List<Host> hosts() {
    return List.of(a, b);
  }

  Host other(Host host) {
    return host == a ? b : a;
  }

  int guestThinkNanos() {
    return thinkNanos;
  }

  long eventDelayNanos() {
    return 1 + random.nextLong(eventDelayNanos);
  }

  Optional<Duration> pauseAfter() {
    return pauseAfter;
  }

  Config.Retention retention() {
    return retention;
  }

  boolean isPersistent() {
    return keepsDefinition;
  }

  /** Whether a migration leaves the definition of a persistent domain at the source. */
  boolean keepsDefinition() {
    return keepsDefinition;
  }

  int nextPid() {
    lastPid++;
    return lastPid;
  }

  /** Guests ask for nothing new. */
  boolean isQuiet() {
    return quiet;
  }

  void beQuiet() {
    quiet = true;
  }

  /** Nothing fails any more. */
  boolean isHealed() {
    return healed;
  }

  void heal() {
    healed = true;
  }

  void later(int maxNanos, Runnable task) {
    time.at(1 + random.nextInt(maxNanos), task);
  }

  void after(Duration delay, Runnable task) {
    time.at(delay.toNanos(), task);
  }

  /** The newest migration; null if there was none. */
  Migration migration() {
    return migration;
  }

  void start(Migration next) {
    migration = next;
    next.start();
  }

  boolean isMigrating() {
    return migration != null && !migration.isOver();
  }

  boolean isFinishing(LibvirtDomain domain) {
    return migration != null && migration.isFinishing(domain);
  }

  /** The domain at a host; null if its libvirtd knows none. */
  LibvirtDomain domain(Host host) {
    return host.libvirtd().domain(DOMAIN);
  }

  /** Requests of other QEMUs that changed content, over all disks. */
  long changesOfOthers(Qemu qemu) {
    return disks.stream().mapToLong(disk -> disk.changesOfOthers(qemu)).sum();
  }

  // ---- what must always be true

  AssertionError violation(String what) {
    return violation(what, null);
  }

  /** Keeps the first one: an error that is thrown here may end in somebody's future. */
  AssertionError violation(String what, Throwable cause) {
    AssertionError error = new AssertionError(what, cause);
    if (violation == null) {
      violation = error;
      trace.add("WRONG: " + what);
    }
    return error;
  }

  /** Whether the host's replica of the disk is owner, durably. */
  boolean owns(Host host, GuestDisk disk) {
    VolumeRecord record = host.relay().storage().record(disk.volume());
    return record != null
        && (record.state() == VolumeState.SERVING || record.state() == VolumeState.FETCHING);
  }

  /** A change was answered: by the owner, and there is no second one. */
  void checkOwner(QemuDisk disk) {
    if (!owns(disk.host(), disk.content())) {
      throw violation(disk + ": a change was accepted by a node that does not own the volume");
    }
    if (owns(other(disk.host()), disk.content())) {
      throw violation(disk + ": a change was accepted while the other node owned the volume too");
    }
  }

  /** The agent of this host is about to let a paused guest run. */
  void checkAgentMayResume(LibvirtDomain domain) {
    boolean stoppedToMigrate = domain.state() == DomainState.PAUSED_MIGRATION;
    boolean otherRuns = other(domain.host()).qemus().stream().anyMatch(Qemu::runs);
    boolean inPostcopy =
        domain.state() == DomainState.PAUSED_POSTCOPY
            || domain.state() == DomainState.PAUSED_POSTCOPY_FAILED;
    if (inPostcopy) {
      throw violation("the agent of " + domain.host() + " resumes half a guest");
    }
    if (stoppedToMigrate && otherRuns) {
      throw violation("the agent of " + domain.host() + " resumes a guest that runs elsewhere");
    }
    if (stoppedToMigrate && domain.memoryIsOld()) {
      throw violation(
          "the agent of " + domain.host() + " resumes a guest whose disks were changed since");
    }
    if (domain.isPausedByOperator() && domain.diskErrors().isEmpty()) {
      throw violation(
          "the agent of " + domain.host() + " resumes a guest that an operator has paused");
    }
  }

  /** libvirt itself lets a second guest run; the disk has to stay right all the same. */
  void libvirtRunsBoth() {
    libvirtRanBoth = true;
  }

  private long running() {
    return hosts().stream().flatMap(host -> host.qemus().stream()).filter(Qemu::runs).count();
  }

  private void checkGuests() {
    long running = running();
    if (running > 1 && !libvirtRanBoth) {
      throw violation(running + " guests run");
    }
    if (hosts().stream().mapToLong(host -> host.qemus().size()).sum() < 2) {
      libvirtRanBoth = false;
    }
  }

  private void checkOwners() {
    for (GuestDisk disk : disks) {
      hosts().forEach(host -> checkRelease(host, disk));
      if (owns(a, disk) && owns(b, disk)) {
        throw violation("volume " + disk.volume() + " has two owners");
      }
    }
  }

  /** Nobody gives a volume away under a guest; one that was resumed just then may be late. */
  private void checkRelease(Host host, GuestDisk disk) {
    String key = host.name() + "/" + disk.volume();
    if (owns(host, disk)) {
      owned.add(key);
    } else if (owned.remove(key)) {
      long limit = time.nanoTime() - LATE.toNanos();
      if (host.qemus().stream().anyMatch(qemu -> qemu.runs() && qemu.runsSince() < limit)) {
        throw violation("volume " + disk.volume() + " left " + host + " while its guest ran there");
      }
    }
  }

  /** Lets time pass. */
  void run(Duration duration) {
    time.run(duration);
    for (Host host : hosts()) {
      if (host.agent() != null) {
        host.agent().traceTimeline();
      }
    }
    if (violation == null) {
      checkOwners();
      checkGuests();
    }
    if (violation != null) {
      throw violation;
    }
  }

  /** For people. */
  String describe() {
    StringBuilder text = new StringBuilder();
    for (Host host : hosts()) {
      text.append(host).append(": relay ").append(host.relay().isAlive() ? "up" : "down");
      text.append(", agent ").append(host.agent() == null ? "down" : "up");
      text.append(", libvirtd ").append(host.libvirtd().isAlive() ? "up" : "down");
      LibvirtDomain domain = domain(host);
      text.append(", ").append(domain == null ? "no domain" : domain);
      for (Qemu qemu : host.qemus()) {
        text.append("\n  ").append(qemu).append(qemu.runs() ? " runs" : " stands still");
        text.append(", waits for ").append(qemu.waiting());
      }
      for (GuestDisk disk : disks) {
        text.append("\n  ").append(status(host, disk));
      }
      text.append('\n');
    }
    return text.toString();
  }

  private static String status(Host host, GuestDisk disk) {
    if (!host.relay().isAlive()) {
      VolumeRecord record = host.relay().storage().record(disk.volume());
      return disk.volume() + (record == null ? " not here" : " " + record.state());
    }
    return host.relay().volume(disk.volume()) == null
        ? disk.volume() + " not here"
        : host.relay().volume(disk.volume()).status().toString();
  }
}
