// SPDX-License-Identifier: Apache-2.0
package io.vmferry.api;

/**
 * {@code POST /v1/volumes} on relay.sock.
 *
 * @param name 1 to 128 characters of {@code A-Z a-z 0-9 . _ -}, not starting with a dot or dash
 * @param size bytes, 1 to 2^53
 */
public record CreateVolume(String name, long size) {}
