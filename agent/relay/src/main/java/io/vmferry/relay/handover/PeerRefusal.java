// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.handover;

import io.vmferry.relay.peer.wire.Refused;

/**
 * A peer's request is not carried out; the message goes to the peer and names reason and next step.
 */
final class PeerRefusal extends RuntimeException {
  private static final long serialVersionUID = 1;

  private final Refused.Code code;

  PeerRefusal(Refused.Code code, String message) {
    super(message);
    this.code = code;
  }

  Refused toWire() {
    return Refused.newBuilder().setCode(code).setMessage(getMessage()).build();
  }
}
