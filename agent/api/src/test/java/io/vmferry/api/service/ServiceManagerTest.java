// SPDX-License-Identifier: Apache-2.0
package io.vmferry.api.service;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Against a real socket of systemd's kind. */
class ServiceManagerTest {
  private static final long PID = 4711;

  @TempDir Path directory;

  @Test
  void tellsReadyAliveAndStopping() throws Exception {
    Path path = directory.resolve("notify");
    try (NotifySocket systemd = NotifySocket.bind(path.toString())) {
      ServiceManager manager = ServiceManager.of(Map.of("NOTIFY_SOCKET", path.toString()), PID);
      manager.ready("serves\nvolumes");
      manager.alive();
      manager.stopping();
      assertThat(systemd.next()).isEqualTo("READY=1\nSTATUS=serves volumes");
      assertThat(systemd.next()).isEqualTo("WATCHDOG=1");
      assertThat(systemd.next()).startsWith("STOPPING=1\n");
    }
  }

  @Test
  void reachesAnAbstractSocketToo() throws Exception {
    String name = "@vmferry-test-" + ProcessHandle.current().pid();
    try (NotifySocket systemd = NotifySocket.bind(name)) {
      ServiceManager.of(Map.of("NOTIFY_SOCKET", name), PID).alive();
      assertThat(systemd.next()).isEqualTo("WATCHDOG=1");
    }
  }

  @Test
  void aManagerThatIsGoneOrHasAnImpossibleAddressHarmsNobody() {
    String absent = directory.resolve("absent").toString();
    for (String address : List.of(absent, "/" + "x".repeat(200))) {
      ServiceManager manager = ServiceManager.of(Map.of("NOTIFY_SOCKET", address), PID);
      manager.ready("serves");
      manager.alive();
      manager.stopping();
    }
  }

  @Test
  void neverWaitsForAManagerThatDoesNotRead() throws Exception {
    Path path = directory.resolve("notify");
    try (NotifySocket systemd = NotifySocket.bind(path.toString())) {
      ServiceManager manager = ServiceManager.of(Map.of("NOTIFY_SOCKET", path.toString()), PID);
      // Far more than the kernel's queue of a Unix datagram socket holds.
      for (int i = 0; i < 5000; i++) {
        manager.alive();
      }
      assertThat(systemd.next()).isEqualTo("WATCHDOG=1");
    }
  }

  @Test
  void aProcessStartedByHandTellsNobody() {
    assertThat(ServiceManager.of(Map.of(), PID)).isSameAs(ServiceManager.NONE);
    assertThat(ServiceManager.of(Map.of("NOTIFY_SOCKET", ""), PID)).isSameAs(ServiceManager.NONE);
    assertThat(ServiceManager.NONE.watchdog()).isEmpty();
  }

  @Test
  void theWatchdogIsThisProcesssOnly() {
    assertThat(manager("WATCHDOG_USEC", "30000000").watchdog()).contains(Duration.ofSeconds(30));
    assertThat(manager("WATCHDOG_USEC", "1", "WATCHDOG_PID", "4711").watchdog())
        .contains(Duration.ofNanos(1000));
    assertThat(manager("WATCHDOG_USEC", "1", "WATCHDOG_PID", "4712").watchdog()).isEmpty();
    assertThat(manager().watchdog()).isEmpty();
    assertThat(manager("WATCHDOG_USEC", "0").watchdog()).isEmpty();
    assertThat(manager("WATCHDOG_USEC", "soon").watchdog()).isEmpty();
    assertThat(manager("WATCHDOG_USEC", "9223372036854775807").watchdog()).isEmpty();
  }

  @Test
  void aliveIsToldThreeTimesInTheManagersPatience() {
    List<Duration> delays = new ArrayList<>();
    List<Runnable> tasks = new ArrayList<>();
    Counter counter = new Counter(Duration.ofSeconds(30));
    Watchdog.start(
        counter,
        (delay, task) -> {
          delays.add(delay);
          tasks.add(task);
        });
    assertThat(counter.alive).as("not before the deciding thread runs").isZero();
    tasks.get(0).run();
    tasks.get(1).run();
    assertThat(counter.alive).isEqualTo(2);
    assertThat(delays)
        .containsExactly(Duration.ZERO, Duration.ofSeconds(10), Duration.ofSeconds(10));
  }

  private ServiceManager manager(String... variables) {
    Map<String, String> environment = new java.util.HashMap<>();
    environment.put("NOTIFY_SOCKET", directory.resolve("absent").toString());
    for (int i = 0; i < variables.length; i += 2) {
      environment.put(variables[i], variables[i + 1]);
    }
    return ServiceManager.of(environment, PID);
  }

  private static final class Counter implements ServiceManager {
    private final Duration patience;
    private int alive;

    Counter(Duration patience) {
      this.patience = patience;
    }

    @Override
    public void ready(String status) {}

    @Override
    public void alive() {
      alive++;
    }

    @Override
    public void stopping() {}

    @Override
    public java.util.Optional<Duration> watchdog() {
      return java.util.Optional.of(patience);
    }
  }
}
