// SPDX-License-Identifier: Apache-2.0
/**
 * Relay to relay: frames, TLS, hello, roles, links that reconnect. Knows the messages' form, not
 * their meaning; that is in {@link io.vmferry.relay.volume} and {@link io.vmferry.relay.handover}.
 */
package io.vmferry.relay.peer;
