// SPDX-License-Identifier: Apache-2.0
package io.vmferry.openstack;

import java.util.List;

/**
 * A server as Nova knows it.
 *
 * @param id UUID
 * @param name of the server
 * @param status for example ACTIVE, MIGRATING, SHUTOFF, ERROR
 * @param host the compute host it is on, null if on none
 * @param volumes UUIDs of its Cinder volumes
 */
public record Server(String id, String name, String status, String host, List<String> volumes) {
  /** Whether Nova would migrate it live. */
  public boolean isRunning() {
    return status.equals("ACTIVE") || status.equals("PAUSED");
  }

  /** Whether it is on its way already. */
  public boolean isMoving() {
    return status.equals("MIGRATING");
  }

  /** Its volumes as vmferry names them. */
  public List<String> vmferryVolumes() {
    return volumes.stream().map(id -> "volume-" + id).toList();
  }
}
