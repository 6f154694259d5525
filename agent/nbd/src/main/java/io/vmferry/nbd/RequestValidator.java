// SPDX-License-Identifier: Apache-2.0
package io.vmferry.nbd;

import static io.vmferry.nbd.NbdProtocol.CMD_BLOCK_STATUS;
import static io.vmferry.nbd.NbdProtocol.CMD_DISC;
import static io.vmferry.nbd.NbdProtocol.CMD_FLAG_DF;
import static io.vmferry.nbd.NbdProtocol.CMD_FLAG_FAST_ZERO;
import static io.vmferry.nbd.NbdProtocol.CMD_FLAG_FUA;
import static io.vmferry.nbd.NbdProtocol.CMD_FLAG_NO_HOLE;
import static io.vmferry.nbd.NbdProtocol.CMD_FLAG_REQ_ONE;
import static io.vmferry.nbd.NbdProtocol.CMD_FLUSH;
import static io.vmferry.nbd.NbdProtocol.CMD_READ;
import static io.vmferry.nbd.NbdProtocol.CMD_TRIM;
import static io.vmferry.nbd.NbdProtocol.CMD_WRITE;
import static io.vmferry.nbd.NbdProtocol.CMD_WRITE_ZEROES;

/**
 * Decides which requests are executed. Everything behind it relies on this: nothing is checked
 * twice.
 */
final class RequestValidator {

  private final Negotiated negotiated;
  private final long size;

  RequestValidator(Negotiated negotiated) {
    this.negotiated = negotiated;
    size = negotiated.export().size();
  }

  /** Returns the reason to refuse, or null if the request may be executed. */
  Refusal check(Request request) {
    int type = request.type;
    if (type == CMD_DISC) {
      // There is no reply that could refuse it.
      return null;
    }
    if (type > CMD_BLOCK_STATUS) {
      return Refusal.UNKNOWN_COMMAND;
    }
    if (request.has(~allowedFlags(type))) {
      return Refusal.BAD_FLAGS;
    }
    if (type == CMD_FLUSH) {
      return request.offset == 0 && request.length == 0 ? null : Refusal.FLUSH_WITH_RANGE;
    }
    if (negotiated.export().readOnly() && changesData(type)) {
      return Refusal.READ_ONLY;
    }
    if (type == CMD_BLOCK_STATUS && !negotiated.baseAllocation()) {
      return Refusal.NO_CONTEXT;
    }
    if (request.length == 0) {
      return Refusal.ZERO_LENGTH;
    }
    if (request.payloadBytes() > NbdLimits.MAX_PAYLOAD) {
      return Refusal.TOO_LONG;
    }
    if (request.offset < 0 || request.offset > size - request.length) {
      return type == CMD_WRITE || type == CMD_WRITE_ZEROES ? Refusal.NO_SPACE : Refusal.PAST_END;
    }
    return null;
  }

  private static boolean changesData(int type) {
    return type == CMD_WRITE || type == CMD_WRITE_ZEROES || type == CMD_TRIM;
  }

  /** FUA is allowed with every command once it is advertised, also where it means nothing. */
  private int allowedFlags(int type) {
    return switch (type) {
      case CMD_READ -> negotiated.structuredReplies() ? CMD_FLAG_FUA | CMD_FLAG_DF : CMD_FLAG_FUA;
      case CMD_WRITE_ZEROES ->
          negotiated.offersFastZero()
              ? CMD_FLAG_FUA | CMD_FLAG_NO_HOLE | CMD_FLAG_FAST_ZERO
              : CMD_FLAG_FUA | CMD_FLAG_NO_HOLE;
      case CMD_BLOCK_STATUS -> CMD_FLAG_FUA | CMD_FLAG_REQ_ONE;
      default -> CMD_FLAG_FUA;
    };
  }
}
