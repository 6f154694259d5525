// SPDX-License-Identifier: Apache-2.0
package io.vmferry.coordinator.migration;

import java.io.IOException;
import java.util.Set;
import java.util.UUID;

/**
 * Which domains the agent has paused itself: only those it may resume. Survives the agent, and need
 * not survive the host, whose end is also the domains'. On the coordinator's thread.
 */
public interface PauseMarks {
  /** All marks. */
  Set<UUID> read() throws IOException;

  /** Marks a domain; idempotent. */
  void add(UUID domain) throws IOException;

  /** Takes the mark away; idempotent. */
  void remove(UUID domain) throws IOException;
}
