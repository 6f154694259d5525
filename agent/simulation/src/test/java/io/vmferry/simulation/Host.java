// SPDX-License-Identifier: Apache-2.0
package io.vmferry.simulation;

import io.vmferry.api.GuestStatus;
import io.vmferry.relay.control.RelayApi;
import io.vmferry.relay.sim.SimNode;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.function.Consumer;
import java.util.function.Function;

/** One host with all that runs on it. Each process can be killed and started alone. */
final class Host {
  private final World world;
  private final SimNode relay;
  private final Libvirtd libvirtd;
  private final MemoryPauseMarks pauseMarks = new MemoryPauseMarks();
  private final LocalCalls relayCalls;
  private final LocalCalls agentCalls;
  private final List<Qemu> qemus = new ArrayList<>();
  private Agent agent;
  private boolean powered = true;

  Host(World world, String name) {
    this.world = world;
    this.relay = new SimNode(name, world.time(), world.random());
    this.libvirtd = new Libvirtd(world, this);
    this.relayCalls = new LocalCalls(world, "relay");
    this.agentCalls = new LocalCalls(world, "agent");
    relay.askForGuests(this::askAgent);
  }

  String name() {
    return relay.name();
  }

  SimNode relay() {
    return relay;
  }

  Libvirtd libvirtd() {
    return libvirtd;
  }

  /** Null while none runs. */
  Agent agent() {
    return agent;
  }

  MemoryPauseMarks pauseMarks() {
    return pauseMarks;
  }

  boolean isPowered() {
    return powered;
  }

  List<Qemu> qemus() {
    return qemus;
  }

  void qemuStarted(Qemu qemu) {
    if (!qemus.contains(qemu)) {
      qemus.add(qemu);
    }
  }

  void qemuEnded(Qemu qemu) {
    qemus.remove(qemu);
  }

  /** A QEMU dies by itself, or is killed. */
  void killQemu(Qemu qemu) {
    qemu.end(false);
    libvirtd.qemuDied(qemu);
  }

  void startRelay() {
    if (powered && !relay.isAlive()) {
      world.trace().add("relay " + name() + " starts");
      try {
        relay.start();
      } catch (IOException e) {
        throw new UncheckedIOException(e);
      }
      world.network().update();
    }
  }

  void killRelay() {
    if (relay.isAlive()) {
      world.trace().add("relay " + name() + " killed");
      relay.kill();
      relayEnded();
    }
  }

  private void relayEnded() {
    relayCalls.serverEnded();
    world.network().update();
    List.copyOf(qemus).forEach(Qemu::relayLost);
  }

  void startAgent() {
    if (powered && agent == null) {
      world.trace().add("agent " + name() + " starts");
      agent = new Agent(world, this);
      agent.start();
    }
  }

  void killAgent() {
    if (agent != null) {
      agent.traceTimeline();
      world.trace().add("agent " + name() + " killed");
      agent.kill();
      agent = null;
      agentCalls.serverEnded();
    }
  }

  void startLibvirtd() {
    if (powered && !libvirtd.isAlive()) {
      world.trace().add("libvirtd " + name() + " starts");
      libvirtd.start();
    }
  }

  void killLibvirtd() {
    if (libvirtd.isAlive()) {
      world.trace().add("libvirtd " + name() + " killed");
      libvirtd.kill();
    }
  }

  /** Everything that runs here ends at once; what was not forced may be gone. */
  void losePower() {
    if (!powered) {
      return;
    }
    world.trace().add("host " + name() + " loses power");
    powered = false;
    killAgent();
    libvirtd.kill();
    List.copyOf(qemus).forEach(qemu -> qemu.end(false));
    libvirtd.powerLoss();
    relay.losePower();
    relayEnded();
    pauseMarks.powerLoss();
    world.disks().stream().filter(disk -> world.owns(this, disk)).forEach(GuestDisk::powerLoss);
  }

  void boot() {
    if (!powered) {
      world.trace().add("host " + name() + " boots");
      powered = true;
      startRelay();
      startLibvirtd();
      startAgent();
    }
  }

  <T> CompletableFuture<T> askRelay(Function<RelayApi, CompletableFuture<T>> request) {
    return relayCalls.ask(relay.isAlive() ? () -> request.apply(relay.api()) : null);
  }

  private CompletableFuture<GuestStatus> askAgent(String volume) {
    Agent asked = agent;
    return agentCalls.ask(asked == null ? null : () -> asked.guest(volume));
  }

  /**
   * libvirt calls the hook script.
   *
   * @param done gets the sentence of a refusal, or null
   */
  void hook(String operation, String subOperation, String xml, Consumer<String> done) {
    Agent asked = agent;
    boolean needed = subOperation.equals("begin");
    var unused =
        agentCalls
            .ask(asked == null ? null : () -> asked.hook(operation, subOperation, xml))
            .whenComplete(
                (refusal, error) ->
                    world.later(
                        1_000_000,
                        () ->
                            done.accept(
                                !needed
                                    ? null
                                    : error == null
                                        ? refusal.orElse(null)
                                        : String.valueOf(error.getMessage()))));
  }

  @Override
  public String toString() {
    return name();
  }
}
