// SPDX-License-Identifier: Apache-2.0
package io.vmferry.api.metrics;

import java.util.List;

/**
 * What the agent has measured since it was started, beside its status.
 *
 * @param hooks calls of libvirt's hook, by operation
 * @param takeovers from the word that a guest runs here until its volumes are owned here
 */
public record AgentMeasurements(List<HookCalls> hooks, Histogram takeovers) {

  /**
   * The calls of one operation.
   *
   * @param operation such as {@code migrate}
   * @param durations from the call to its answer
   * @param refused how many of them were refused
   */
  public record HookCalls(String operation, Histogram durations, long refused) {}
}
