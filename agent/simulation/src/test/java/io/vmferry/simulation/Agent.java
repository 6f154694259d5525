// SPDX-License-Identifier: Apache-2.0
package io.vmferry.simulation;

import io.vmferry.api.GuestStatus;
import io.vmferry.api.Timeline;
import io.vmferry.api.TimelineEvent;
import io.vmferry.coordinator.migration.Coordinator;
import io.vmferry.coordinator.migration.Guests;
import io.vmferry.coordinator.migration.Hooks;
import io.vmferry.relay.sim.VirtualTime;
import java.time.Clock;
import java.time.Duration;
import java.time.Instant;
import java.time.ZoneId;
import java.time.ZoneOffset;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;

/** One life of a host's agent: the real decision code, wired as the process does it. */
final class Agent {
  /** The product's limits in real time never end: the simulated parts answer in virtual time. */
  private static final Duration NO_LIMIT = Duration.ofDays(1);

  private final World world;
  private final Host host;
  private final VirtualTime.NodeLoop loop;
  private final RelayOfHost relay;
  private final StubHypervisor hypervisor;
  private final Timeline timeline;
  private final Coordinator coordinator;
  private final Guests guests;
  private final Hooks hooks;
  private long told;

  Agent(World world, Host host) {
    this.world = world;
    this.host = host;
    this.loop = world.time().new NodeLoop();
    this.relay = new RelayOfHost(host, world.trace());
    this.hypervisor = new StubHypervisor(world, host);
    this.timeline = new Timeline(host.name(), new VirtualClock(world.time()));
    this.coordinator =
        new Coordinator(
            host.name(),
            new AgentScheduler(world, loop),
            hypervisor,
            relay,
            timeline,
            world.pauseAfter(),
            host.pauseMarks(),
            world.retention(),
            world.time()::instant);
    this.guests = new Guests(hypervisor, coordinator::incoming, NO_LIMIT);
    this.hooks = new Hooks(Libvirtd.NBD_SOCKET, coordinator, timeline, NO_LIMIT);
  }

  void start() {
    coordinator.start();
  }

  /** As kill -9. */
  void kill() {
    loop.kill();
    relay.kill();
    hypervisor.close();
  }

  Coordinator coordinator() {
    return coordinator;
  }

  CompletableFuture<GuestStatus> guest(String volume) {
    return guests.of(volume);
  }

  CompletableFuture<Optional<String>> hook(String operation, String subOperation, String xml) {
    return hooks.call("vm", operation, subOperation, "-", xml);
  }

  /** Moves what is new in the timeline to the trace. */
  void traceTimeline() {
    for (TimelineEvent event : timeline.after(told)) {
      told = event.seq();
      world.trace().add("agent " + host.name() + ": " + event.kind() + ": " + event.detail());
    }
  }

  /** The wall clock of all hosts. */
  private static final class VirtualClock extends Clock {
    private final VirtualTime time;

    VirtualClock(VirtualTime time) {
      this.time = time;
    }

    @Override
    public ZoneId getZone() {
      return ZoneOffset.UTC;
    }

    @Override
    public Clock withZone(ZoneId zone) {
      return this;
    }

    @Override
    public Instant instant() {
      return time.instant();
    }
  }
}
