// SPDX-License-Identifier: Apache-2.0
package io.vmferry.api;

/** What a replica is at this node. The transitions are tabled in the relay's VolumeTransitions. */
public enum VolumeState {
  /** Owner, complete: a plain NBD server. */
  SERVING,
  /** Attached to the owner before a handover: reads pass through, the first write takes over. */
  STANDBY,
  /** Owner, incomplete: fetches on demand and in the background. */
  FETCHING,
  /** Former owner: no data I/O for local clients, peers may read. */
  RELEASED,
  /**
   * Was owner and found that another node is owner too, after a forced promotion: guest writes are
   * held, reads are served for an export, peers get nothing.
   */
  FORKED
}
