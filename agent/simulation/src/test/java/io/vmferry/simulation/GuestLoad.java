// SPDX-License-Identifier: Apache-2.0
package io.vmferry.simulation;

import io.vmferry.relay.history.BlockHistory.Kind;
import java.util.List;
import java.util.Random;

/** What a guest does with its disks: some threads that ask, wait for the answer, and think. */
final class GuestLoad {
  private static final int MAX_THREADS = 4;
  private static final int MAX_SECTORS = 48;

  private final World world;
  private final Qemu qemu;
  private final int thinkNanos;
  private int idle;

  GuestLoad(World world, Qemu qemu) {
    this.world = world;
    this.qemu = qemu;
    this.thinkNanos = world.guestThinkNanos();
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
        switch (random.nextInt(16)) {
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
}
