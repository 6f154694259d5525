// SPDX-License-Identifier: Apache-2.0
package io.vmferry.simulation;

import java.util.List;

/** A QEMU process and the guest in it, which uses its disks while and only while it runs. */
final class Qemu {

  /** Who hears of a process; libvirt. */
  interface Monitor {
    void ioError(Qemu qemu, String target);
  }

  private final World world;
  private final Host host;
  private final int pid;
  private final List<QemuDisk> disks;
  private final GuestLoad guest;
  private Monitor monitor;
  private boolean alive = true;
  private boolean runs;
  private long runsSince;
  private boolean flushing;

  Qemu(World world, Host host, int pid) {
    this.world = world;
    this.host = host;
    this.pid = pid;
    this.disks = world.disks().stream().map(disk -> new QemuDisk(world, this, disk)).toList();
    this.guest = new GuestLoad(world, this);
  }

  void monitoredBy(Monitor newMonitor) {
    monitor = newMonitor;
  }

  Host host() {
    return host;
  }

  int pid() {
    return pid;
  }

  List<QemuDisk> disks() {
    return disks;
  }

  boolean isAlive() {
    return alive;
  }

  /** Whether its virtual CPUs run. */
  boolean runs() {
    return alive && runs;
  }

  /** Since when, if they do. */
  long runsSince() {
    return runsSince;
  }

  boolean isIdle() {
    return disks.stream().allMatch(QemuDisk::isIdle);
  }

  boolean hasFailed() {
    return disks.stream().anyMatch(QemuDisk::hasFailed);
  }

  int waiting() {
    return disks.stream().mapToInt(QemuDisk::waiting).sum();
  }

  /** Starts or continues the virtual CPUs; what had failed is tried again. */
  void cont() {
    if (!runs) {
      runsSince = world.time().nanoTime();
    }
    runs = true;
    disks.forEach(QemuDisk::retry);
    guest.go();
  }

  /** Stops the virtual CPUs; requests under way go on. */
  void stop() {
    runs = false;
  }

  /** Flushes each disk twice, as QEMU does when it stops for a migration. */
  void flush() {
    flushing = true;
    for (QemuDisk disk : disks) {
      disk.flush(() -> disk.flush(() -> {}));
    }
    flushing = false;
  }

  /** Flushes each disk before the process ends. */
  void sayGoodbye() {
    flushing = true;
    disks.forEach(disk -> disk.submit(DiskRequest.farewell(world, disk)));
    flushing = false;
  }

  void ioError(QemuDisk disk) {
    boolean ran = runs;
    runs = false;
    if (ran && monitor != null && !flushing) {
      monitor.ioError(this, disk.content().target());
    }
  }

  void relayLost() {
    disks.forEach(QemuDisk::connectionLost);
  }

  /**
   * The process ends.
   *
   * @param orderly by SIGTERM, with a goodbye to the relay; else at once
   */
  void end(boolean orderly) {
    if (!alive) {
      return;
    }
    alive = false;
    runs = false;
    host.relay().processEnded(pid);
    disks.forEach(disk -> disk.ended(orderly));
    host.qemuEnded(this);
    world.trace().add(this + " ended" + (orderly ? "" : " at once"));
  }

  @Override
  public String toString() {
    return "QEMU " + pid + "@" + host.name();
  }
}
