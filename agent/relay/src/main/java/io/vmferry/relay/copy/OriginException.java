// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.copy;

import io.vmferry.relay.peer.wire.Refused;

/** The origin answered, but not with the data. Asking again later may help. */
public final class OriginException extends Exception {
  private static final long serialVersionUID = 1;

  private final Refused.Code code;

  public OriginException(Refused.Code code, String message) {
    super(message);
    this.code = code;
  }

  /** Why; CODE_UNSPECIFIED for an answer that was broken. */
  public Refused.Code code() {
    return code;
  }
}
