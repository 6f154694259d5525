// SPDX-License-Identifier: Apache-2.0
package io.vmferry.api.service;

import java.time.Duration;

/**
 * Tells the service manager that the deciding thread still decides, from that thread: when it hangs
 * the process is restarted, which guests survive and a hang they don't.
 */
public final class Watchdog {
  /** Of the manager's patience; sd_watchdog_enabled(3) asks for less than a half. */
  private static final int SHARE = 3;

  private final ServiceManager manager;
  private final Later later;
  private final Duration period;

  /** Runs a task on the deciding thread after a while. */
  @FunctionalInterface
  public interface Later {
    void run(Duration delay, Runnable task);
  }

  private Watchdog(ServiceManager manager, Later later, Duration period) {
    this.manager = manager;
    this.later = later;
    this.period = period;
  }

  /** Begins, if the manager wants it. It ends with the deciding thread. */
  public static void start(ServiceManager manager, Later later) {
    manager
        .watchdog()
        .ifPresent(
            patience -> {
              Watchdog watchdog = new Watchdog(manager, later, patience.dividedBy(SHARE));
              later.run(Duration.ZERO, watchdog::turn);
            });
  }

  private void turn() {
    manager.alive();
    later.run(period, this::turn);
  }
}
