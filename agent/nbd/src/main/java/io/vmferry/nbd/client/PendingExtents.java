// SPDX-License-Identifier: Apache-2.0
package io.vmferry.nbd.client;

import static io.vmferry.nbd.NbdProtocol.CMD_BLOCK_STATUS;
import static io.vmferry.nbd.NbdProtocol.STATE_HOLE;
import static io.vmferry.nbd.NbdProtocol.STATE_ZERO;

import io.netty.buffer.ByteBuf;
import java.util.ArrayList;
import java.util.List;

/** A question for extents. */
final class PendingExtents extends PendingRequest {
  private static final int EXTENT_BYTES = 8;

  private final ServerExport export;
  private final NbdConnection.ExtentsAnswer answer;
  private final List<NbdConnection.Extent> extents = new ArrayList<>();

  PendingExtents(
      long offset, long length, ServerExport export, NbdConnection.ExtentsAnswer answer) {
    super(CMD_BLOCK_STATUS, offset, length, answer);
    this.export = export;
    this.answer = answer;
  }

  /** A chunk that is a list of extents has come. */
  void addExtents(ByteBuf body) throws NbdServerException {
    int bodyBytes = body.readableBytes();
    if (bodyBytes <= Integer.BYTES || (bodyBytes - Integer.BYTES) % EXTENT_BYTES != 0) {
      throw new NbdServerException("a list of extents of %d bytes".formatted(bodyBytes));
    }
    if (body.readInt() != export.allocation() || !extents.isEmpty()) {
      throw new NbdServerException("extents of another context, or twice");
    }
    long covered = 0;
    while (body.isReadable()) {
      long bytes = body.readUnsignedInt();
      int state = body.readInt();
      if (bytes == 0 || covered >= length()) {
        throw new NbdServerException("an empty extent, or one behind the range");
      }
      covered += bytes;
      if (covered > export.size() - offset()) {
        throw new NbdServerException("an extent that ends behind the export");
      }
      extents.add(
          new NbdConnection.Extent(bytes, (state & STATE_HOLE) != 0, (state & STATE_ZERO) != 0));
    }
  }

  @Override
  boolean isWhole() {
    return !extents.isEmpty();
  }

  @Override
  void succeed() {
    answer.extents(extents);
  }

  @Override
  String verb() {
    return "tell the extents of";
  }
}
