// SPDX-License-Identifier: Apache-2.0
package io.vmferry.api;

import java.time.Instant;

/**
 * {@code GET /v1/peers/{node}/probe} on relay.sock: the way to a peer and back, tried now with a
 * message that fills many packets.
 *
 * @param node the peer
 * @param rttMillis from the question to its answer; null if {@code problem} is set
 * @param skewMillis how far the peer's wall clock is ahead of the one here, negative if it is
 *     behind, exact to half of {@code rttMillis}; null if {@code problem} is set
 * @param certificateEnd when the peer's certificate ends; null if {@code problem} is set
 * @param wayBackProblem why the peer can't reach this node, one sentence; null if it can
 * @param problem why the probe got no answer, one sentence; null if it got one
 */
public record PeerProbe(
    String node,
    Double rttMillis,
    Long skewMillis,
    Instant certificateEnd,
    String wayBackProblem,
    String problem) {}
