// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.handover;

import io.vmferry.api.Epoch;
import io.vmferry.relay.copy.Origin;
import io.vmferry.relay.peer.wire.Refused;
import io.vmferry.relay.volume.Volume;
import io.vmferry.relay.volume.VolumeRecord;

/** Which content of a volume a peer may read. Each rule throws {@link PeerRefusal}. Loop only. */
final class ContentRules {
  private ContentRules() {}

  /**
   * Whether the peer may read now.
   *
   * @param epoch whose content it wants; null for the owner's
   * @param session in which it copies before the handover, or 0 if it doesn't: then the epoch is of
   *     no account
   */
  static void checkMayRead(String peer, Volume volume, Epoch epoch, long session) {
    if (session == 0) {
      checkMayReadEpoch(peer, volume, epoch);
    } else {
      checkMayPreCopy(peer, volume, session);
    }
  }

  /**
   * Content belongs to an epoch. The owner's changes: it is for a standby that passes it through,
   * and names no epoch. A released replica's is frozen: it is for whoever fetches in just that
   * epoch. A fork's is for nobody.
   */
  private static void checkMayReadEpoch(String peer, Volume volume, Epoch epoch) {
    VolumeRecord record = volume.record();
    if (volume.isForked()) {
      throw new PeerRefusal(Refused.Code.FAILED, record.forkSentence());
    }
    boolean may =
        epoch == null
            ? volume.isOwner() || record.epoch().owner().equals(peer)
            : !volume.isOwner() && record.epoch().equals(epoch);
    if (!may) {
      throw new PeerRefusal(
          Refused.Code.WRONG_EPOCH,
          "volume "
              + record.name()
              + " is "
              + record.state()
              + " in epoch "
              + record.epoch()
              + " here; its content is not that of "
              + (epoch == null ? "the owner" : "epoch " + epoch));
    }
  }

  /** Content that may change, for a standby of which this node knows what of it is stale. */
  private static void checkMayPreCopy(String peer, Volume volume, long session) {
    if (!volume.isOwner() || !volume.replicas().isPreCopying(peer, session)) {
      throw new PeerRefusal(
          Refused.Code.WRONG_EPOCH,
          "volume "
              + volume.record().name()
              + " is not copied to node "
              + peer
              + " in that session any more; begin another one");
    }
  }

  static void checkLength(long length) {
    if (length == 0 || length > Origin.MAX_READ) {
      throw new PeerRefusal(
          Refused.Code.BAD_REQUEST, "a read has 1 byte to 1 MiB, not " + length + " bytes");
    }
  }

  static void checkRange(Volume volume, long offset, long length) {
    long size = volume.record().size();
    if (offset < 0 || offset > size || length > size - offset) {
      throw new PeerRefusal(
          Refused.Code.BAD_REQUEST,
          "the range " + offset + "+" + length + " is outside of the volume's " + size + " bytes");
    }
  }
}
