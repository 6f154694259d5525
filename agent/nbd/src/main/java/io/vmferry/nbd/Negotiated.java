// SPDX-License-Identifier: Apache-2.0
package io.vmferry.nbd;

import static io.vmferry.nbd.NbdProtocol.FLAG_CAN_MULTI_CONN;
import static io.vmferry.nbd.NbdProtocol.FLAG_HAS_FLAGS;
import static io.vmferry.nbd.NbdProtocol.FLAG_READ_ONLY;
import static io.vmferry.nbd.NbdProtocol.FLAG_SEND_CACHE;
import static io.vmferry.nbd.NbdProtocol.FLAG_SEND_DF;
import static io.vmferry.nbd.NbdProtocol.FLAG_SEND_FAST_ZERO;
import static io.vmferry.nbd.NbdProtocol.FLAG_SEND_FLUSH;
import static io.vmferry.nbd.NbdProtocol.FLAG_SEND_FUA;
import static io.vmferry.nbd.NbdProtocol.FLAG_SEND_TRIM;
import static io.vmferry.nbd.NbdProtocol.FLAG_SEND_WRITE_ZEROES;

/**
 * What a handshake agreed on.
 *
 * @param export what the export offers
 * @param structuredReplies reads are answered with structured chunks
 * @param baseAllocation BLOCK_STATUS is allowed
 */
record Negotiated(ExportInfo export, boolean structuredReplies, boolean baseAllocation) {

  /** The transmission flags that say so to the client. */
  int transmissionFlags() {
    int flags = FLAG_HAS_FLAGS | FLAG_SEND_FLUSH | FLAG_SEND_FUA | FLAG_SEND_CACHE;
    if (export.readOnly()) {
      flags |= FLAG_READ_ONLY;
    } else {
      flags |= FLAG_SEND_TRIM | FLAG_SEND_WRITE_ZEROES;
    }
    if (offersFastZero()) {
      flags |= FLAG_SEND_FAST_ZERO;
    }
    if (export.multiConn()) {
      flags |= FLAG_CAN_MULTI_CONN;
    }
    if (structuredReplies) {
      flags |= FLAG_SEND_DF;
    }
    return flags;
  }

  /** FAST_ZERO is a promise about WRITE_ZEROES, which a read-only export doesn't have. */
  boolean offersFastZero() {
    return export.fastZero() && !export.readOnly();
  }
}
