// SPDX-License-Identifier: Apache-2.0
package io.vmferry.simulation;

import io.vmferry.relay.history.BlockHistory.Kind;
import java.util.List;
import java.util.Random;

/** What a guest does with its disks: some threads that ask, wait for the answer, and think. */
final class GuestLoad {
  private static final int MAX_THREADS = 4;
  private static final int MAX_SECTORS = 48;
  private static final long MAX_READS_ONLY_NANOS = 60_000_000_000L;

  private final World world;
  private final Qemu qemu;
  private final int thinkNanos;
  private final long readsOnlyUntil;
  private int idle;

  GuestLoad(World world, Qemu qemu) {
    this.world = world;
    this.qemu = qemu;
    this.thinkNanos = world.guestThinkNanos();
    this.readsOnlyUntil =
        switch (world.random().nextInt(8)) {
          case 0 -> Long.MAX_VALUE;
          case 1 -> world.time().nanoTime() + world.random().nextLong(MAX_READS_ONLY_NANOS);
          default -> 0;
        };
    this.idle = 1 + world.random().nextInt(MAX_THREADS);
  }

  /** The virtual CPUs run: all threads that stood still go on. */
  void go() {
    int threads = idle;
    idle = 0;
    for (int i = 0; i < threads; i++) {
      think();
    }
  }

  private void think() {
    world.later(thinkNanos, this::act);
  }

  private void act() {
    if (!qemu.runs() || world.isQuiet()) {
      idle++;
      return;
    }
    Random random = world.random();
    List<QemuDisk> disks = qemu.disks();
    QemuDisk disk = disks.get(random.nextInt(disks.size()));
    Kind kind =
        switch (readsOnly() ? 3 : random.nextInt(16)) {
          case 0 -> Kind.FLUSH;
          case 1 -> Kind.ZERO;
          case 2 -> Kind.TRIM;
          case 3, 4, 5, 6, 7, 8 -> Kind.READ;
          default -> Kind.WRITE;
        };
    disk.submit(
        new DiskRequest(
            world,
            disk,
            kind,
            random.nextInt(disk.content().sectors()),
            1 + random.nextInt(random.nextBoolean() ? 8 : MAX_SECTORS),
            random.nextInt(8) == 0,
            this::think));
  }

  /** A guest that writes nothing for long: only its agent's word makes its host the owner. */
  private boolean readsOnly() {
    return world.time().nanoTime() < readsOnlyUntil;
  }
}
