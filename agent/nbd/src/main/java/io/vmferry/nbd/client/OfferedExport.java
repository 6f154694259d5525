// SPDX-License-Identifier: Apache-2.0
package io.vmferry.nbd.client;

import static io.vmferry.nbd.NbdProtocol.BASE_ALLOCATION;
import static io.vmferry.nbd.NbdProtocol.FLAG_CAN_MULTI_CONN;
import static io.vmferry.nbd.NbdProtocol.FLAG_HAS_FLAGS;
import static io.vmferry.nbd.NbdProtocol.INFO_BLOCK_SIZE;
import static io.vmferry.nbd.NbdProtocol.INFO_BLOCK_SIZE_BYTES;
import static io.vmferry.nbd.NbdProtocol.INFO_EXPORT;
import static io.vmferry.nbd.NbdProtocol.INFO_EXPORT_BYTES;

import io.netty.buffer.ByteBuf;

/**
 * What a server says of its export during the handshake, piece by piece; each is checked when it
 * comes, the whole by {@link #checked}. On the connection's event loop.
 */
final class OfferedExport {
  private static final int DEFAULT_MAX_PAYLOAD = 32 << 20;
  private static final int MAX_MIN_BLOCK = 65536;

  private boolean structured;
  private Integer allocation;
  private boolean described;
  private long size;
  private int flags;
  private int minBlock = 1;
  private int maxPayload = DEFAULT_MAX_PAYLOAD;

  /** The server will answer reads with structured chunks. */
  void structured() {
    structured = true;
  }

  /** The server selected a context: name and id. */
  void selected(String context, int id) throws NbdServerException {
    if (!context.equals(BASE_ALLOCATION) || allocation != null) {
      throw new NbdServerException("it selected a context that was not asked for, or one twice");
    }
    allocation = id;
  }

  /** The server refuses contexts. */
  void withoutAllocation() {
    allocation = null;
  }

  /** An information of the reply to GO; those that are unknown are ignored. */
  void information(ByteBuf data) throws NbdServerException {
    if (data.readableBytes() < Short.BYTES) {
      throw new NbdServerException("an information without a type");
    }
    int length = data.readableBytes();
    int type = data.readUnsignedShort();
    if (type == INFO_EXPORT) {
      if (length != INFO_EXPORT_BYTES || described) {
        throw new NbdServerException("a wrong or second description of the export");
      }
      described = true;
      size = data.readLong();
      flags = data.readUnsignedShort();
    } else if (type == INFO_BLOCK_SIZE) {
      if (length != INFO_BLOCK_SIZE_BYTES) {
        throw new NbdServerException("a wrong description of its block sizes");
      }
      blockSizes(data.readInt(), data.readInt(), data.readInt());
    }
  }

  private void blockSizes(int min, int preferred, int max) throws NbdServerException {
    boolean legal =
        Integer.bitCount(min) == 1
            && min > 0
            && min <= MAX_MIN_BLOCK
            && Integer.bitCount(preferred) == 1
            && Integer.compareUnsigned(preferred, Math.max(min, 512)) >= 0
            && Integer.compareUnsigned(max, preferred) >= 0;
    if (!legal) {
      throw new NbdServerException(
          "it has block sizes that the protocol doesn't allow (minimum %s, preferred %s, maximum %s)"
              .formatted(
                  Integer.toUnsignedString(min),
                  Integer.toUnsignedString(preferred),
                  Integer.toUnsignedString(max)));
    }
    minBlock = min;
    // Above 2 GiB, and without a limit: no read of ours is that long.
    maxPayload = max < 0 ? DEFAULT_MAX_PAYLOAD : max / min * min;
  }

  /** The export, once the server has opened it. */
  ServerExport checked() throws NbdServerException {
    if (!described) {
      throw new NbdServerException("it opened the export without saying how large it is");
    }
    if ((flags & FLAG_HAS_FLAGS) == 0) {
      throw new NbdServerException("its export has no flags");
    }
    if (size < 1) {
      throw new NbdServerException(
          "its export has %s bytes".formatted(Long.toUnsignedString(size)));
    }
    if (size % minBlock != 0) {
      throw new NbdServerException(
          "its export has %d bytes, not a multiple of its own smallest request of %d bytes"
              .formatted(size, minBlock));
    }
    return new ServerExport(
        size, (flags & FLAG_CAN_MULTI_CONN) != 0, minBlock, maxPayload, structured, allocation);
  }
}
