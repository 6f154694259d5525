// SPDX-License-Identifier: Apache-2.0
package io.vmferry.api;

import java.util.List;

/**
 * {@code GET /v1/status} on relay.sock.
 *
 * @param node this node's name
 * @param version of the program
 * @param volumes all replicas here, by name
 * @param peers all configured peers, by name
 * @param rateLimit cap of the background copy in bytes per second, null if none
 */
public record RelayStatus(
    String node,
    String version,
    List<VolumeStatus> volumes,
    List<PeerStatus> peers,
    Long rateLimit) {

  /**
   * A peer relay.
   *
   * @param node name in the configuration
   * @param address host:port
   * @param up whether the control connection stands
   * @param rttMillis last measured round trip, null if unknown
   * @param problem why it is down, null if up or not needed
   */
  public record PeerStatus(
      String node, String address, boolean up, Double rttMillis, String problem) {}
}
