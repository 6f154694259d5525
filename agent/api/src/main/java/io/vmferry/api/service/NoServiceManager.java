// SPDX-License-Identifier: Apache-2.0
package io.vmferry.api.service;

import java.time.Duration;
import java.util.Optional;

/** For a process that was started by hand. */
final class NoServiceManager implements ServiceManager {
  @Override
  public void ready(String status) {}

  @Override
  public void alive() {}

  @Override
  public void stopping() {}

  @Override
  public Optional<Duration> watchdog() {
    return Optional.empty();
  }
}
