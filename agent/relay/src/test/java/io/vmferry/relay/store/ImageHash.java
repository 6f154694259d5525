// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.store;

import java.nio.ByteBuffer;

/** 64-bit fingerprints of what is on simulated disks, to recognise states that were seen before. */
public final class ImageHash {
  private ImageHash() {}

  public static long mix(long hash, long more) {
    long mixed = (hash * 31 + more) * 0x9E3779B97F4A7C15L;
    return mixed ^ mixed >>> 29;
  }

  static long of(byte[] bytes) {
    ByteBuffer buffer = ByteBuffer.wrap(bytes);
    long hash = bytes.length;
    while (buffer.remaining() >= Long.BYTES) {
      hash = mix(hash, buffer.getLong());
    }
    while (buffer.hasRemaining()) {
      hash = mix(hash, buffer.get());
    }
    return hash;
  }
}
