// SPDX-License-Identifier: Apache-2.0
package io.vmferry.api;

import java.util.UUID;

/**
 * {@code GET /v1/volumes/{name}/location} on relay.sock: where a volume is, whichever node owns it.
 *
 * @param name export name
 * @param uuid identity of the volume
 * @param size bytes of the virtual disk
 * @param state of the owner's replica: SERVING or FETCHING
 * @param owner node that owns the volume
 * @param local whether that is the node that was asked
 * @param origin node that blocks are still copied from, so that it is needed; null if none
 * @param missing bytes that are still there only
 * @param clients NBD clients at all nodes that answered
 * @param allocated bytes that the owner's data file takes
 * @param content names the owner's content: two equal answers mean that nothing was written in
 *     between. It has no other meaning, and differs after a restart of the owner's relay
 */
public record VolumeLocation(
    String name,
    UUID uuid,
    long size,
    VolumeState state,
    String owner,
    boolean local,
    String origin,
    long missing,
    int clients,
    long allocated,
    String content) {}
