// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.volume;

import io.netty.buffer.ByteBuf;
import java.io.IOException;

/** A peer's read of blocks that this replica is still fetching itself. */
record PeerMiss(Volume volume, long offset, int length, ByteBuf buffer, Volume.PeerRead peer)
    implements ReadThrough.Request {

  /** A peer that is gone is found out by who sends the answer. */
  @Override
  public boolean alive() {
    return true;
  }

  @Override
  public void done(IOException error) {
    if (error == null) {
      peer.done(buffer, null);
    } else {
      buffer.release();
      peer.done(null, error.getMessage());
    }
  }

  @Override
  public void again() {
    volume.readForPeer(offset, length, buffer, peer);
  }
}
