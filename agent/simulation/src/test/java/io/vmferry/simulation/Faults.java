// SPDX-License-Identifier: Apache-2.0
package io.vmferry.simulation;

import java.time.Duration;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.EnumSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.TreeMap;
import java.util.function.BooleanSupplier;

/**
 * What goes wrong in a run: some kinds of faults, drawn by the seed, at random moments, and one
 * that is aimed at a phase of each migration. Everything that was killed is started again.
 */
final class Faults {

  /** Kinds, with a weight. */
  enum Kind {
    RELAY_KILLED(6),
    AGENT_KILLED(5),
    LIBVIRTD_KILLED(3),
    LINK_CUT(5),
    QEMU_KILLED(1),
    POWER_LOST(1),
    GUEST_SUSPENDED(1),
    // Only during a migration.
    CLIENT_KILLED(8),
    ANSWER_LOST(4),
    ABORTED(1);

    private final int weight;

    Kind(int weight) {
      this.weight = weight;
    }

    private boolean isOfMigration() {
      return this == CLIENT_KILLED || this == ANSWER_LOST || this == ABORTED;
    }
  }

  private static final int SHORT_MILLIS = 3_000;
  private static final int LONG_MILLIS = 60_000;
  private static final int MOMENT_NANOS = 2_000_000;
  private static final int PHASE_NANOS = 30_000_000;
  private static final int LATER_NANOS = 2_000_000_000;
  private static final Duration WATCH = Duration.ofMillis(5);

  private final World world;
  private final Random random;
  private final boolean enabled;
  private final Set<Kind> kinds = EnumSet.noneOf(Kind.class);
  private final Map<Kind, Long> counts = new EnumMap<>(Kind.class);
  private final int meanMillis;
  private boolean active;

  Faults(World world, boolean enabled) {
    this.world = world;
    this.random = world.random();
    this.enabled = enabled;
    for (Kind kind : Kind.values()) {
      if (random.nextInt(3) != 0) {
        kinds.add(kind);
      }
    }
    this.meanMillis = 1_000 + random.nextInt(random.nextBoolean() ? 4_000 : 20_000);
  }

  /** How many of each kind struck, by name. */
  Map<String, Long> counts() {
    Map<String, Long> byName = new TreeMap<>();
    for (Kind kind : Kind.values()) {
      byName.put(kind.name().toLowerCase(java.util.Locale.ROOT), counts.getOrDefault(kind, 0L));
    }
    return byName;
  }

  void begin() {
    active = enabled;
    next();
  }

  /** From now on nothing fails, and everything is mended. */
  void end() {
    active = false;
    world.heal();
    world.network().mend();
    for (Host host : world.hosts()) {
      host.boot();
      host.startRelay();
      host.startLibvirtd();
      host.startAgent();
    }
    world.hosts().forEach(this::letRun);
  }

  private void next() {
    if (!active) {
      return;
    }
    long wait = (long) (-Math.log(1 - random.nextDouble()) * meanMillis);
    world.after(
        Duration.ofMillis(1 + wait),
        () -> {
          if (active) {
            strike(draw(false), null);
          }
          next();
        });
  }

  private Kind draw(boolean inMigration) {
    List<Kind> choice = new ArrayList<>();
    for (Kind kind : kinds) {
      if (inMigration || !kind.isOfMigration()) {
        for (int i = 0; i < kind.weight; i++) {
          choice.add(kind);
        }
      }
    }
    return choice.isEmpty() ? null : choice.get(random.nextInt(choice.size()));
  }

  /** Lets something fail, or two things, at a moment of one of the migration's phases. */
  void aimAt(Migration migration) {
    if (!active || random.nextInt(5) == 0) {
      return;
    }
    Migration.Phase[] phases = Migration.Phase.values();
    Migration.Phase phase = phases[random.nextInt(phases.length)];
    switch (random.nextInt(7)) {
      case 0 -> loseBothClientAndLink(migration);
      case 1, 2 -> loseOriginWhileFetching(migration);
      default -> aimAtRandom(migration, phase);
    }
  }

  /** The worst for who may run: nobody tells the source, and nobody there can ask. */
  private void loseBothClientAndLink(Migration migration) {
    aim(
        migration,
        Migration.Phase.CONFIRM,
        MOMENT_NANOS,
        () -> strike(Kind.CLIENT_KILLED, migration));
    aim(migration, Migration.Phase.CONFIRM, MOMENT_NANOS, this::cutForLong);
  }

  /**
   * The guest waits for blocks until it is paused; the agent that did it may be another one then.
   */
  private void loseOriginWhileFetching(Migration migration) {
    aim(migration, Migration.Phase.OVER, LATER_NANOS / 4, this::cutForLong);
    if (random.nextInt(4) != 0) {
      aim(
          migration,
          Migration.Phase.OVER,
          LONG_MILLIS / 2 * 1_000_000L,
          () -> strike(Kind.AGENT_KILLED, migration));
    }
  }

  private void cutForLong() {
    counts.merge(Kind.LINK_CUT, 1L, Long::sum);
    world.network().cut();
    world.after(
        Duration.ofMillis(LONG_MILLIS / 3 + random.nextInt(LONG_MILLIS)), world.network()::mend);
  }

  private void aimAtRandom(Migration migration, Migration.Phase phase) {
    int within = phase == Migration.Phase.OVER ? LATER_NANOS : PHASE_NANOS;
    Kind kind = draw(true);
    aim(migration, phase, within, () -> strike(kind, migration));
    if (random.nextBoolean()) {
      Kind second = draw(true);
      aim(migration, phase, within, () -> strike(second, migration));
    }
  }

  private void aim(Migration migration, Migration.Phase phase, long within, Runnable fault) {
    Duration delay = Duration.ofNanos(random.nextLong(within));
    Runnable strike =
        () -> {
          if (active) {
            fault.run();
          }
        };
    watch(() -> migration.phase().compareTo(phase) >= 0, () -> world.after(delay, strike));
  }

  private void watch(BooleanSupplier holds, Runnable then) {
    if (holds.getAsBoolean()) {
      then.run();
    } else if (active) {
      world.after(WATCH, () -> watch(holds, then));
    }
  }

  private Duration outage() {
    return Duration.ofMillis(
        100 + random.nextInt(random.nextBoolean() ? LONG_MILLIS : SHORT_MILLIS));
  }

  private void strike(Kind kind, Migration migration) {
    if (kind == null) {
      return;
    }
    Host host = world.hosts().get(random.nextInt(world.hosts().size()));
    counts.merge(kind, 1L, Long::sum);
    switch (kind) {
      case RELAY_KILLED -> {
        host.killRelay();
        world.after(outage(), host::startRelay);
      }
      case AGENT_KILLED -> {
        host.killAgent();
        world.after(outage(), host::startAgent);
      }
      case LIBVIRTD_KILLED -> {
        host.killLibvirtd();
        world.after(outage(), host::startLibvirtd);
      }
      case LINK_CUT -> {
        world.network().cut();
        world.after(outage(), world.network()::mend);
      }
      case QEMU_KILLED -> killQemu(migration == null ? host : migration.to());
      case POWER_LOST -> {
        host.losePower();
        world.after(outage(), host::boot);
      }
      case GUEST_SUSPENDED -> suspend(host);
      case CLIENT_KILLED -> {
        world.trace().add("client of the migration killed");
        migration.killClient();
      }
      case ANSWER_LOST -> migration.loseAnswer();
      case ABORTED -> migration.abort();
    }
  }

  private void killQemu(Host host) {
    if (!host.qemus().isEmpty()) {
      Qemu qemu = host.qemus().get(random.nextInt(host.qemus().size()));
      world.trace().add(qemu + " killed");
      host.killQemu(qemu);
    }
  }

  private void suspend(Host host) {
    LibvirtDomain domain = world.domain(host);
    if (host.libvirtd().isAlive()
        && domain != null
        && domain.isActive()
        && !domain.isBusy()
        && domain.qemu().runs()) {
      domain.suspendByOperator();
      world.after(outage(), () -> letRun(host));
    }
  }

  /** The operator lets run what an operator has paused. */
  private void letRun(Host host) {
    LibvirtDomain domain = world.domain(host);
    if (domain == null || !domain.isActive() || !domain.isPausedByOperator()) {
      return;
    }
    if (domain.isBusy() || !host.libvirtd().isAlive()) {
      world.after(Duration.ofSeconds(1), () -> letRun(host));
    } else {
      domain.resumeByOperator();
    }
  }
}
