// SPDX-License-Identifier: Apache-2.0
package io.vmferry.nbd;

import io.netty.buffer.ByteBuf;

/** Header of the request being decoded. One per connection, overwritten by the next request. */
final class Request {
  int flags;
  int type;
  long cookie;

  /** Unsigned: negative means 2^63 and more. */
  long offset;

  /** Bytes, 0 to 2^32-1. */
  long length;

  /** Reads what follows the magic number. */
  void read(ByteBuf in) {
    flags = in.readUnsignedShort();
    type = in.readUnsignedShort();
    cookie = in.readLong();
    offset = in.readLong();
    length = in.readUnsignedInt();
  }

  boolean has(int flag) {
    return (flags & flag) != 0;
  }

  boolean isWrite() {
    return type == NbdProtocol.CMD_WRITE;
  }

  /** Bytes of payload in the request or in its reply. */
  long payloadBytes() {
    return type == NbdProtocol.CMD_READ || type == NbdProtocol.CMD_WRITE ? length : 0;
  }

  @Override
  public String toString() {
    return "%s offset=%s length=%d flags=0x%x"
        .formatted(NbdProtocol.commandName(type), Long.toUnsignedString(offset), length, flags);
  }
}
