// SPDX-License-Identifier: Apache-2.0
package io.vmferry.api;

/**
 * {@code GET /v1/capacity} on relay.sock: the file system that holds this node's volumes.
 *
 * @param total its size in bytes
 * @param free bytes that volumes may still take
 */
public record Capacity(long total, long free) {}
