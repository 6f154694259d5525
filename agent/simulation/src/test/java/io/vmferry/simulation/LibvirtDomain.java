// SPDX-License-Identifier: Apache-2.0
package io.vmferry.simulation;

import io.vmferry.coordinator.hypervisor.DomainEvent.Kind;
import io.vmferry.coordinator.hypervisor.DomainInfo;
import io.vmferry.coordinator.hypervisor.DomainState;
import io.vmferry.coordinator.hypervisor.DomainXml;
import io.vmferry.coordinator.hypervisor.VmferryDisk;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.UUID;
import java.util.function.Consumer;

/** A domain as one libvirtd knows it. */
final class LibvirtDomain {
  private final World world;
  private final Libvirtd libvirtd;
  private final UUID uuid;
  private final Set<String> diskErrors = new HashSet<>();
  private String owner;
  private boolean defined;
  private Qemu qemu;
  private DomainState state = DomainState.SHUT_OFF;

  /** The migration away, or whatever else holds libvirt's job. */
  private Object job;

  private boolean incoming;

  /** A suspend that QEMU has not ended yet. */
  private boolean suspending;

  private boolean pausedByOperator;

  /** Changes that others had made to its disks when the guest was stopped for migration. */
  private long changesAtStop;

  LibvirtDomain(World world, Libvirtd libvirtd, UUID uuid, String owner, boolean defined) {
    this.world = world;
    this.libvirtd = libvirtd;
    this.uuid = uuid;
    this.owner = owner;
    this.defined = defined;
  }

  UUID uuid() {
    return uuid;
  }

  Qemu qemu() {
    return qemu;
  }

  void setQemu(Qemu newQemu) {
    qemu = newQemu;
  }

  boolean isActive() {
    return qemu != null;
  }

  boolean isDefined() {
    return defined;
  }

  void define(boolean newDefined) {
    defined = newDefined;
  }

  DomainState state() {
    return state;
  }

  void setState(DomainState newState) {
    if (newState == DomainState.PAUSED_MIGRATION && state != newState) {
      changesAtStop = world.changesOfOthers(qemu);
    }
    state = newState;
  }

  /** Whether libvirt stopped its guest for a migration away, however that ended. */
  boolean isStoppedToMigrate() {
    return switch (state) {
      case PAUSED_MIGRATION, PAUSED_POSTCOPY, PAUSED_POSTCOPY_FAILED -> true;
      case RUNNING, STARTING_UP, PAUSED, PAUSED_IO_ERROR, SHUT_OFF, OTHER -> false;
    };
  }

  boolean hasJob() {
    return job != null;
  }

  /** Comes by migration and was not resumed yet: libvirt has a job on it that it tells nobody. */
  boolean isIncoming() {
    return incoming;
  }

  void setIncoming(boolean newIncoming) {
    incoming = newIncoming;
  }

  void setJob(Object newJob) {
    job = newJob;
  }

  boolean isBusy() {
    return job != null || incoming || suspending;
  }

  String owner() {
    return owner;
  }

  void setOwner(String node) {
    owner = node;
  }

  Set<String> diskErrors() {
    return Set.copyOf(diskErrors);
  }

  void noteDiskError(String target) {
    diskErrors.add(target);
  }

  DomainInfo info() {
    List<VmferryDisk> disks =
        world.disks().stream().map(disk -> new VmferryDisk(disk.volume(), disk.target())).toList();
    List<String> volumes =
        defined ? world.disks().stream().map(GuestDisk::volume).toList() : List.of();
    return new DomainInfo(uuid, "vm", isActive(), state, disks, volumes, owner);
  }

  /** As the hooks get it. */
  String xml() {
    StringBuilder xml = new StringBuilder("<domain><name>vm</name><uuid>").append(uuid);
    xml.append("</uuid>");
    if (owner != null) {
      xml.append("<metadata><v:domain xmlns:v='").append(DomainXml.NAMESPACE);
      xml.append("'><v:owner node='").append(owner).append("'/></v:domain></metadata>");
    }
    xml.append("<devices>");
    for (GuestDisk disk : world.disks()) {
      xml.append("<disk type='network'><source protocol='nbd' name='").append(disk.volume());
      xml.append("'><host transport='unix' socket='").append(Libvirtd.NBD_SOCKET);
      xml.append("'/></source><target dev='").append(disk.target()).append("'/></disk>");
    }
    return xml.append("</devices></domain>").toString();
  }

  /** The guest goes on, or begins. */
  void run(Kind event) {
    state = DomainState.RUNNING;
    incoming = false;
    pausedByOperator = false;
    diskErrors.clear();
    libvirtd.emit(this, event, 0);
    qemu.cont();
  }

  /** QEMU stops the guest at once and ends the command when its requests are answered. */
  private void suspend(Runnable done) {
    qemu.stop();
    state = DomainState.PAUSED;
    libvirtd.emit(this, Kind.SUSPENDED, 0);
    suspending = true;
    awaitIdle(qemu, done);
  }

  private void awaitIdle(Qemu stopped, Runnable done) {
    if (qemu != stopped || stopped.isIdle()) {
      suspending = false;
      done.run();
    } else {
      world.later(20_000_000, () -> awaitIdle(stopped, done));
    }
  }

  void suspendByOperator() {
    world.trace().add("operator suspends at " + libvirtd.host().name());
    suspend(() -> {});
    pausedByOperator = true;
  }

  void resumeByOperator() {
    world.trace().add("operator resumes at " + libvirtd.host().name());
    run(Kind.RESUMED);
  }

  void suspendByAgent(Consumer<Void> done, Consumer<String> failed) {
    if (!isActive() || state != DomainState.RUNNING) {
      failed.accept("the domain is not running");
      return;
    }
    world.trace().add("agent " + libvirtd.host().name() + " suspends the guest");
    suspend(() -> done.accept(null));
  }

  void resumeByAgent(Consumer<Void> done, Consumer<String> failed) {
    if (!isActive() || state == DomainState.RUNNING) {
      failed.accept("the domain is not paused");
      return;
    }
    world.trace().add("agent " + libvirtd.host().name() + " resumes the guest: it was " + state);
    world.checkAgentMayResume(this);
    run(Kind.RESUMED);
    done.accept(null);
  }

  boolean isPausedByOperator() {
    return pausedByOperator;
  }

  /** Whether somebody wrote to the disks since the guest was stopped for migration. */
  boolean memoryIsOld() {
    return changesAtStop != world.changesOfOthers(qemu);
  }

  Host host() {
    return libvirtd.host();
  }

  @Override
  public String toString() {
    return "domain at " + libvirtd.host().name() + ": " + state + (job == null ? "" : ", job");
  }
}
