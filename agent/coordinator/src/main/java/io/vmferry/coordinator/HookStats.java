// SPDX-License-Identifier: Apache-2.0
package io.vmferry.coordinator;

import io.vmferry.api.metrics.AgentMeasurements.HookCalls;
import io.vmferry.api.metrics.Histogram;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;

/** How often libvirt's hook called, how long the answer took, what was refused. Thread-safe. */
final class HookStats {
  /** The operations that the hook script hands on; all others count as one, whoever makes them. */
  private static final Set<String> OPERATIONS =
      Set.of("migrate", "prepare", "start", "started", "stopped", "release");

  private final Map<String, Calls> calls = new TreeMap<>();

  private static final class Calls {
    final Histogram durations = new Histogram();
    long refused;
  }

  /** A call was answered after so many nanoseconds. */
  synchronized void answered(String operation, long nanos, boolean refused) {
    String label = OPERATIONS.contains(operation) ? operation : "other";
    Calls of = calls.computeIfAbsent(label, key -> new Calls());
    of.durations.observe(nanos);
    if (refused) {
      of.refused++;
    }
  }

  /** By operation, of those that were called. */
  synchronized List<HookCalls> measured() {
    return calls.entrySet().stream()
        .map(
            each ->
                new HookCalls(
                    each.getKey(), each.getValue().durations.copy(), each.getValue().refused))
        .toList();
  }
}
