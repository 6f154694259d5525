// SPDX-License-Identifier: Apache-2.0
package io.vmferry.api;

/**
 * {@code PUT /v1/rate} on relay.sock.
 *
 * @param bytesPerSecond cap of the background copy, null for none
 */
public record SetRate(Long bytesPerSecond) {}
