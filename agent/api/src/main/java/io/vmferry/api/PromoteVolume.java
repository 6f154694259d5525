// SPDX-License-Identifier: Apache-2.0
package io.vmferry.api;

/**
 * {@code POST /v1/volumes/NAME/promotion} on relay.sock.
 *
 * @param force whether to do it; otherwise the answer is a problem that says what would be lost
 */
public record PromoteVolume(boolean force) {}
