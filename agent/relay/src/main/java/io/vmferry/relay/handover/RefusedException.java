// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.handover;

import io.vmferry.relay.peer.wire.Refused;

/** A peer refused a request. */
final class RefusedException extends Exception {
  private static final long serialVersionUID = 1;

  private final Refused.Code code;

  RefusedException(Refused refused) {
    super(refused.getMessage());
    this.code = refused.getCode();
  }

  Refused.Code code() {
    return code;
  }
}
