// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.copy;

import io.vmferry.relay.peer.wire.Role;

/**
 * Where a replica's missing blocks come from: the previous owner ({@link Origin}), or a plain NBD
 * server. What it delivers is checked. Loop only.
 */
public interface BlockSource {

  /** What it is, for people: "node a", or a URI. */
  String name();

  /** Whether it can be asked now. */
  boolean up();

  /** Why it can't be asked now and what happens next, for people; null if it can. */
  String waitingFor();

  /**
   * Reads {@code length} bytes, at most {@link Origin#MAX_READ}, from {@code offset}.
   *
   * @param role DEMAND if a guest waits, else BULK
   * @param compressed whether data may come compressed; only if {@link Compression#available}
   */
  void read(Role role, long offset, int length, boolean compressed, Origin.Sink sink);

  /** Asks for the holes from {@code offset} on, as many as fit one answer. */
  void holes(long offset, long size, Origin.HoleSink sink);

  /** Asks what the guest used last, of a volume of {@code size} bytes. */
  void heat(long size, Origin.HeatSink sink);
}
