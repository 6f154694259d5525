// SPDX-License-Identifier: Apache-2.0
package io.vmferry.api;

/**
 * {@code GET /v1/volumes/{name}/peer-clients} on relay.sock, one per configured peer: who has the
 * volume open there. No client at any peer means that no other node has a QEMU with this volume.
 *
 * @param node the peer
 * @param clients its local NBD clients: connections, plus processes that lost theirs and live; 0 if
 *     it has no replica, or if {@code problem} is set
 * @param problem why nothing is known of that peer, one sentence; null if it answered
 */
public record PeerClients(String node, int clients, String problem) {}
