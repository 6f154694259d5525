// SPDX-License-Identifier: Apache-2.0
package io.vmferry.api.service;

import java.time.Duration;
import java.util.Map;
import java.util.Optional;

/**
 * Who started this process and waits to hear from it: systemd for a unit with {@code Type=notify}.
 * Nothing here blocks or throws: a process does not stop working because its manager can't be told.
 */
public interface ServiceManager {

  /** Nobody waits: the process was started by hand. */
  ServiceManager NONE = new NoServiceManager();

  /**
   * The one that the environment names in NOTIFY_SOCKET, or {@link #NONE}.
   *
   * @param environment variables of the process
   * @param pid of the process: a watchdog that was meant for another one is not served
   */
  static ServiceManager of(Map<String, String> environment, long pid) {
    return SystemdManager.of(environment, pid);
  }

  /**
   * The process serves. Units that wait for it are started now.
   *
   * @param status one line for `systemctl status`
   */
  void ready(String status);

  /** The deciding thread still decides. To be called at least once per {@link #watchdog}. */
  void alive();

  /** The process ends because it was asked to. */
  void stopping();

  /** How long the manager waits for {@link #alive} before it restarts the process. */
  Optional<Duration> watchdog();
}
