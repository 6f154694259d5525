// SPDX-License-Identifier: Apache-2.0
/**
 * One volume at this node: its state, its guest I/O, what it holds, what others lack.
 *
 * <p>The way of a request: {@link io.vmferry.relay.volume.VolumeSession} (from the NBD server)
 * &rarr; {@link io.vmferry.relay.volume.Volume} (gate: parked or not, which state) &rarr; the
 * state's own path: local file, {@link io.vmferry.relay.volume.FetchedVolume local file plus
 * origin}, or pass through. All on the data loop; nothing here blocks or locks.
 */
package io.vmferry.relay.volume;
