// SPDX-License-Identifier: Apache-2.0
package io.vmferry.coordinator.migration;

import io.vmferry.api.Timeline;
import io.vmferry.api.TimelineEvent;
import io.vmferry.api.VolumeState;
import io.vmferry.config.Config;
import io.vmferry.coordinator.hypervisor.DomainEvent.Kind;
import io.vmferry.coordinator.hypervisor.DomainInfo;
import io.vmferry.coordinator.hypervisor.DomainState;
import io.vmferry.coordinator.hypervisor.DomainXml;
import io.vmferry.coordinator.hypervisor.VmferryDisk;
import java.time.Clock;
import java.time.Duration;
import java.time.InstantSource;
import java.util.List;
import java.util.Optional;
import java.util.UUID;

/** A coordinator on node {@code hostb} with fakes around it and one domain to play with. */
class CoordinatorFixture {
  static final String SOCKET = "/run/vmferry/nbd.sock";
  static final Duration SECOND = Duration.ofSeconds(1);
  static final UUID VM = UUID.fromString("6b6c7a2e-5a0e-4f0a-9d0e-2f4a9f1d3c11");

  final VirtualScheduler scheduler = new VirtualScheduler();
  final FakeHypervisor hypervisor = new FakeHypervisor();
  final FakeRelay relay = new FakeRelay();
  final Timeline timeline = new Timeline("hostb", Clock.systemUTC());
  final FakePauseMarks pauseMarks = new FakePauseMarks();
  Optional<Duration> pauseAfter = Optional.of(Duration.ofSeconds(20));
  Coordinator coordinator = newCoordinator();

  final Coordinator newCoordinator() {
    return new Coordinator(
        "hostb",
        scheduler,
        hypervisor,
        relay,
        timeline,
        pauseAfter,
        pauseMarks,
        new Config.Retention(Optional.of(Duration.ZERO), Optional.empty()),
        InstantSource.system());
  }

  final void start() {
    coordinator.start();
    scheduler.settle();
  }

  final void domain(DomainState state) {
    domain(state, List.of());
  }

  final void domain(DomainState state, List<String> definedVolumes) {
    hypervisor.put(
        new DomainInfo(
            VM,
            "vm",
            state != DomainState.SHUT_OFF,
            state,
            List.of(new VmferryDisk("vol", "vda")),
            definedVolumes,
            null));
  }

  static String xml(String owner) {
    String metadata =
        owner == null
            ? ""
            : "<metadata><v:domain xmlns:v='"
                + DomainXml.NAMESPACE
                + "'><v:owner node='"
                + owner
                + "'/></v:domain></metadata>";
    return "<domain><name>vm</name><uuid>"
        + VM
        + "</uuid>"
        + metadata
        + "<devices><disk type='network'><source protocol='nbd' name='vol'>"
        + "<host transport='unix' socket='"
        + SOCKET
        + "'/></source><target dev='vda'/></disk></devices></domain>";
  }

  final List<String> phases() {
    return timeline.after(0).stream()
        .filter(event -> event.kind().equals("phase"))
        .map(event -> event.detail().substring(0, 1))
        .toList();
  }

  final List<String> details(String kind) {
    return timeline.after(0).stream()
        .filter(event -> event.kind().equals(kind))
        .map(TimelineEvent::detail)
        .toList();
  }

  /** The hook was answered and QEMU waits for the guest's memory. */
  final void incoming() throws Exception {
    start();
    var unused = coordinator.attach(DomainXml.parse(xml("hosta"), SOCKET), true);
    scheduler.settle();
    domain(DomainState.STARTING_UP);
    emit(Kind.STARTED_MIGRATED);
  }

  final void emit(Kind kind) {
    hypervisor.emit(VM, kind);
    scheduler.settle();
  }

  final VolumeState volume() {
    return relay.volumes.get("vol").state();
  }

  final void runningHere() {
    domain(DomainState.RUNNING);
    relay.put("vol", VolumeState.SERVING, VM);
    start();
  }
}
