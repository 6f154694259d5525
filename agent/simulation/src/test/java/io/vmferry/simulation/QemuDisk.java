// SPDX-License-Identifier: Apache-2.0
package io.vmferry.simulation;

import io.vmferry.nbd.NbdClient;
import io.vmferry.nbd.NbdExport;
import io.vmferry.nbd.NbdExportException;
import io.vmferry.nbd.NbdSession;
import io.vmferry.relay.history.BlockHistory.Kind;
import io.vmferry.relay.sim.VirtualTime;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;

/**
 * One disk of a QEMU, as libvirt 9.0 sets it up: without reconnect delay and with {@code
 * error_policy=stop}. A lost connection fails what is under way; it is sent again when the guest is
 * resumed. A request without connection makes QEMU connect, with a back-off, and fails.
 */
final class QemuDisk {
  private static final Duration FIRST_RECONNECT = Duration.ofSeconds(1);
  private static final Duration LAST_RECONNECT = Duration.ofSeconds(16);
  private static final int SOCKET_NANOS = 3_000_000;

  private final World world;
  private final Qemu qemu;
  private final GuestDisk content;
  private final List<DiskRequest> sent = new ArrayList<>();
  private final List<DiskRequest> failed = new ArrayList<>();
  private NbdSession session;
  private VirtualTime.NodeLoop relayLife;
  private Consumer<String> opening;
  private long notBefore;
  private Duration backOff = FIRST_RECONNECT;

  QemuDisk(World world, Qemu qemu, GuestDisk content) {
    this.world = world;
    this.qemu = qemu;
    this.content = content;
  }

  GuestDisk content() {
    return content;
  }

  Qemu qemu() {
    return qemu;
  }

  Host host() {
    return qemu.host();
  }

  boolean isIdle() {
    return sent.isEmpty();
  }

  boolean hasFailed() {
    return !failed.isEmpty();
  }

  int waiting() {
    return sent.size() + failed.size();
  }

  /**
   * Connects.
   *
   * @param done gets the reason of a failure, or null
   */
  void open(Consumer<String> done) {
    opening = done;
    world.later(SOCKET_NANOS, () -> ask(done));
  }

  private void ask(Consumer<String> done) {
    if (opening != done) {
      return;
    }
    if (!host().relay().isAlive()) {
      opened("the relay does not answer");
      return;
    }
    relayLife = host().relay().loop();
    var unused =
        host()
            .relay()
            .exports()
            .find(content.volume())
            .whenComplete(
                (export, error) -> {
                  if (opening == done) {
                    opened(error == null ? connect(export) : String.valueOf(error.getMessage()));
                  }
                });
  }

  private String connect(NbdExport export) {
    try {
      session = export.open(new NbdClient(qemu.pid(), qemu.pid(), 0));
      backOff = FIRST_RECONNECT;
      return null;
    } catch (NbdExportException e) {
      return e.getMessage();
    }
  }

  private void opened(String problem) {
    Consumer<String> done = opening;
    opening = null;
    done.accept(problem);
  }

  void submit(DiskRequest request) {
    if (session == null) {
      reconnect();
      failed.add(request);
      qemu.ioError(this);
      return;
    }
    sent.add(request);
    request.send(session);
  }

  /** QEMU's own, not the guest's. */
  void flush(Runnable answered) {
    submit(new DiskRequest(world, this, Kind.FLUSH, 0, 0, false, answered));
  }

  /** As QEMU does when it starts. */
  void readFirstSector() {
    submit(new DiskRequest(world, this, Kind.READ, 0, 1, false, () -> {}));
  }

  private void reconnect() {
    if (opening != null || world.time().nanoTime() < notBefore) {
      return;
    }
    notBefore = world.time().nanoTime() + backOff.toNanos();
    backOff = backOff.compareTo(LAST_RECONNECT) < 0 ? backOff.multipliedBy(2) : backOff;
    open(problem -> world.trace().mix(problem == null ? 1 : 2));
  }

  /** The guest was resumed. */
  void retry() {
    List<DiskRequest> again = List.copyOf(failed);
    failed.clear();
    again.forEach(this::submit);
  }

  /** The relay died; nobody says goodbye. */
  void connectionLost() {
    session = null;
    if (opening != null) {
      opened("the relay closed the connection");
    }
    if (!sent.isEmpty()) {
      failed.addAll(sent);
      sent.clear();
      qemu.ioError(this);
    }
  }

  /** Whether the request was waited for; it isn't any more. */
  boolean answered(DiskRequest request) {
    return sent.remove(request);
  }

  boolean isWaiting(DiskRequest request) {
    return sent.contains(request);
  }

  /**
   * The process has ended.
   *
   * @param orderly whether it said so to the relay
   */
  void ended(boolean orderly) {
    opening = null;
    List<DiskRequest> open = new ArrayList<>(sent);
    open.addAll(failed);
    sent.clear();
    failed.clear();
    open.forEach(DiskRequest::abandon);
    if (session != null && host().relay().loop() == relayLife) {
      session.closed(orderly);
    }
    session = null;
  }

  @Override
  public String toString() {
    return qemu + " " + content.target();
  }
}
