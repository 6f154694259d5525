// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.peer;

import io.netty.buffer.ByteBuf;
import java.nio.ByteBuffer;
import java.util.zip.CRC32C;

/** CRC32C (Castagnoli) of buffers, computed in place; the checksum of every {@code Extent}. */
public final class Crc32c {

  private Crc32c() {}

  /** Checksum of the readable bytes of {@code data}; its indexes don't move. */
  public static int of(ByteBuf data) {
    return of(data, data.readerIndex(), data.readableBytes());
  }

  /**
   * Checksum of a part of {@code data}; its indexes don't move.
   *
   * @throws IndexOutOfBoundsException if the range isn't inside the buffer's capacity
   */
  public static int of(ByteBuf data, int index, int length) {
    CRC32C crc = new CRC32C();
    if (data.nioBufferCount() == 1) {
      crc.update(data.nioBuffer(index, length));
    } else {
      for (ByteBuffer part : data.nioBuffers(index, length)) {
        crc.update(part);
      }
    }
    return (int) crc.getValue();
  }
}
