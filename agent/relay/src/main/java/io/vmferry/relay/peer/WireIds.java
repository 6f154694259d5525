// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.peer;

import com.google.protobuf.ByteString;
import io.vmferry.api.Epoch;
import io.vmferry.relay.peer.wire.EpochId;
import java.nio.ByteBuffer;
import java.util.UUID;

/** Identities between their Java and their wire form. */
public final class WireIds {
  private static final int UUID_BYTES = 16;

  private WireIds() {}

  public static ByteString bytes(UUID uuid) {
    ByteBuffer bytes = ByteBuffer.allocate(UUID_BYTES);
    bytes.putLong(uuid.getMostSignificantBits()).putLong(uuid.getLeastSignificantBits()).flip();
    return ByteString.copyFrom(bytes);
  }

  /**
   * Reads a UUID.
   *
   * @throws IllegalArgumentException if it isn't 16 bytes
   */
  public static UUID uuid(ByteString bytes) {
    if (bytes.size() != UUID_BYTES) {
      throw new IllegalArgumentException("a UUID has 16 bytes, not " + bytes.size());
    }
    ByteBuffer buffer = bytes.asReadOnlyByteBuffer();
    return new UUID(buffer.getLong(), buffer.getLong());
  }

  public static EpochId epoch(Epoch epoch) {
    return EpochId.newBuilder().setNumber(epoch.number()).setOwner(epoch.owner()).build();
  }

  public static Epoch epoch(EpochId epoch) {
    return new Epoch(epoch.getNumber(), epoch.getOwner());
  }
}
