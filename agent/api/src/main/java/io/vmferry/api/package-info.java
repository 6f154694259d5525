// SPDX-License-Identifier: Apache-2.0
/**
 * The control API: JSON over HTTP on two Unix sockets.
 *
 * <p>{@code relay.sock} speaks of volumes ({@link io.vmferry.api.RelayStatus}, {@link
 * io.vmferry.api.VolumeStatus}); {@code agent.sock} of guests and migrations. The records here are
 * the documentation of both; the relay never depends on the agent's code, nor the agent on the
 * relay's.
 */
package io.vmferry.api;
