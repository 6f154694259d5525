// SPDX-License-Identifier: Apache-2.0
package io.vmferry.api;

/**
 * {@code PUT /v1/volumes/{name}/size} on relay.sock: make a volume larger, whichever node owns it.
 *
 * @param size bytes afterwards, not less than now
 */
public record ExtendVolume(long size) {}
