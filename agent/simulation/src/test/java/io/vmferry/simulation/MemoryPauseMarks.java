// SPDX-License-Identifier: Apache-2.0
package io.vmferry.simulation;

import io.vmferry.coordinator.migration.PauseMarks;
import java.util.HashSet;
import java.util.Set;
import java.util.UUID;

/** A host's tmpfs: outlives the agent, not the host. */
final class MemoryPauseMarks implements PauseMarks {
  private final Set<UUID> marks = new HashSet<>();

  @Override
  public Set<UUID> read() {
    return new HashSet<>(marks);
  }

  @Override
  public void add(UUID domain) {
    marks.add(domain);
  }

  @Override
  public void remove(UUID domain) {
    marks.remove(domain);
  }

  boolean has(UUID domain) {
    return marks.contains(domain);
  }

  void powerLoss() {
    marks.clear();
  }
}
