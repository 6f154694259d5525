// SPDX-License-Identifier: Apache-2.0
package io.vmferry.api;

import java.time.Instant;

/**
 * {@code GET /v1/timeline?after=SEQ} on agent.sock and on relay.sock: what happened, in order; the
 * newest few thousand are kept. Both nodes' timelines merged by time tell the story of a migration.
 *
 * @param seq number, rising
 * @param time when, by this host's clock
 * @param node where
 * @param subject domain or volume
 * @param kind for programs: for example {@code hook}, {@code libvirt}, {@code phase}, {@code
 *     takeover}
 * @param detail for people
 */
public record TimelineEvent(
    long seq, Instant time, String node, String subject, String kind, String detail) {}
