// SPDX-License-Identifier: Apache-2.0
package io.vmferry.coordinator.migration;

import java.io.IOException;
import java.util.HashSet;
import java.util.Set;
import java.util.UUID;

/** Marks in memory; as durable as the test is long. */
final class FakePauseMarks implements PauseMarks {
  final Set<UUID> marked = new HashSet<>();
  String problem;

  @Override
  public Set<UUID> read() throws IOException {
    check();
    return Set.copyOf(marked);
  }

  @Override
  public void add(UUID domain) throws IOException {
    check();
    marked.add(domain);
  }

  @Override
  public void remove(UUID domain) throws IOException {
    check();
    marked.remove(domain);
  }

  private void check() throws IOException {
    if (problem != null) {
      throw new IOException(problem);
    }
  }
}
