// SPDX-License-Identifier: Apache-2.0
package io.vmferry.nbd;

/** An option can't be obeyed. The message goes to the client; the handshake goes on. */
final class OptionException extends Exception {
  private static final long serialVersionUID = 1;

  private final int replyType;

  /**
   * @param replyType one of the {@code REP_ERR_} numbers
   */
  OptionException(int replyType, String message) {
    super(message, null, false, false);
    this.replyType = replyType;
  }

  static OptionException invalid(String message) {
    return new OptionException(NbdProtocol.REP_ERR_INVALID, message);
  }

  int replyType() {
    return replyType;
  }
}
