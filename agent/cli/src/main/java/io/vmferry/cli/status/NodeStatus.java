// SPDX-License-Identifier: Apache-2.0
package io.vmferry.cli.status;

import io.vmferry.api.AgentStatus;
import io.vmferry.api.RelayStatus;
import io.vmferry.api.VolumeState;

/**
 * What {@code status --json} prints: both processes of this node.
 *
 * @param relay the relay's word
 * @param agent the agent's, null if it does not answer
 * @param agentProblem why it does not answer, null if it does
 */
public record NodeStatus(RelayStatus relay, AgentStatus agent, String agentProblem) {
  /** Whether a volume here still lacks blocks that are to be fetched. */
  boolean fetching() {
    return relay.volumes().stream().anyMatch(volume -> volume.state() == VolumeState.FETCHING);
  }
}
