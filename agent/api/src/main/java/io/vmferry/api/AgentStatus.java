// SPDX-License-Identifier: Apache-2.0
package io.vmferry.api;

import java.util.List;
import java.util.UUID;

/**
 * {@code GET /v1/status} on agent.sock.
 *
 * @param node this node's name
 * @param version of the program
 * @param libvirtUp whether libvirtd is connected
 * @param problem why it isn't, null if it is
 * @param domains domains here that have vmferry disks
 */
public record AgentStatus(
    String node, String version, boolean libvirtUp, String problem, List<DomainStatus> domains) {

  /**
   * A domain with vmferry disks.
   *
   * @param name libvirt's name
   * @param uuid libvirt's UUID
   * @param state libvirt's state and reason, for example {@code running} or {@code paused
   *     (migration)}
   * @param volumes its vmferry volumes
   * @param phase phase 1 to 5 of the migration under way, 0 if none
   * @param note what a person should know or do about it, one sentence; null if nothing
   */
  public record DomainStatus(
      String name, UUID uuid, String state, List<String> volumes, int phase, String note) {}
}
