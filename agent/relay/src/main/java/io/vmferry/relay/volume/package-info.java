// SPDX-License-Identifier: Apache-2.0
/**
 * One volume at this node: its state, its guest I/O, what it holds, what others lack.
 *
 * <p>The way of a request: {@link io.vmferry.relay.volume.VolumeSession} (from the NBD server)
 * &rarr; {@link io.vmferry.relay.volume.Volume} (gate: parked or not, which state) &rarr; the
 * state's own path: local file, {@link io.vmferry.relay.volume.FetchedVolume local file plus
 * origin}, or pass through. All on the data loop; nothing here blocks or locks.
 *
 * <p>Around the gate: {@link io.vmferry.relay.volume.LocalReplica} (the facts that all look at),
 * {@link io.vmferry.relay.volume.FetchMode} (while blocks are missing), {@link
 * io.vmferry.relay.volume.StandbyPreCopy} (what is copied before the handover), {@link
 * io.vmferry.relay.volume.Replicas} and {@link io.vmferry.relay.volume.PeerReads} (what other nodes
 * lack, and read), {@link io.vmferry.relay.volume.ParkedWork} (what waits for a change of state).
 */
package io.vmferry.relay.volume;
