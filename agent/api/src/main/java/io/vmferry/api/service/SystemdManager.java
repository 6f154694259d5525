// SPDX-License-Identifier: Apache-2.0
package io.vmferry.api.service;

import java.time.Duration;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicBoolean;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** systemd, by sd_notify(3): assignments in a datagram to the socket NOTIFY_SOCKET. */
final class SystemdManager implements ServiceManager {
  private static final Logger log = LoggerFactory.getLogger(SystemdManager.class);

  private static final long NANOS_PER_MICRO = 1000;

  private final DatagramSender socket;
  private final Optional<Duration> watchdog;
  private final AtomicBoolean complained = new AtomicBoolean();

  private SystemdManager(DatagramSender socket, Optional<Duration> watchdog) {
    this.socket = socket;
    this.watchdog = watchdog;
  }

  static ServiceManager of(Map<String, String> environment, long pid) {
    String address = environment.getOrDefault("NOTIFY_SOCKET", "");
    if (address.isEmpty()) {
      return NONE;
    }
    return new SystemdManager(new DatagramSender(address), watchdog(environment, pid));
  }

  private static Optional<Duration> watchdog(Map<String, String> environment, long pid) {
    String interval = environment.getOrDefault("WATCHDOG_USEC", "");
    String addressee = environment.getOrDefault("WATCHDOG_PID", Long.toString(pid));
    if (interval.isEmpty() || !addressee.equals(Long.toString(pid))) {
      return Optional.empty();
    }
    try {
      long micros = Long.parseLong(interval);
      return micros > 0
          ? Optional.of(Duration.ofNanos(Math.multiplyExact(micros, NANOS_PER_MICRO)))
          : Optional.empty();
    } catch (NumberFormatException | ArithmeticException e) {
      log.warn("WATCHDOG_USEC is '{}', not a time in µs: there is no watchdog", interval);
      return Optional.empty();
    }
  }

  @Override
  public void ready(String status) {
    send("READY=1\nSTATUS=" + status.replace('\n', ' '));
  }

  @Override
  public void alive() {
    send("WATCHDOG=1");
  }

  @Override
  public void stopping() {
    send("STOPPING=1\nSTATUS=stopping");
  }

  @Override
  public Optional<Duration> watchdog() {
    return watchdog;
  }

  private void send(String state) {
    int error = socket.send(state);
    // Once is enough: the next one is due in seconds.
    if (error != 0 && !complained.getAndSet(true)) {
      log.warn("can't tell systemd on {}: errno {}; is this its unit?", socket, error);
    }
  }
}
