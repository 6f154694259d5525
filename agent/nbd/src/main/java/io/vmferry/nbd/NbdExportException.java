// SPDX-License-Identifier: Apache-2.0
package io.vmferry.nbd;

/** An export can't be offered. The message names the export, the reason and the next step. */
public final class NbdExportException extends Exception {
  private static final long serialVersionUID = 1;

  /** Why; each is one NBD_REP_ERR code. */
  public enum Reason {
    /** NBD_REP_ERR_UNKNOWN: there is no such export. */
    UNKNOWN,
    /** NBD_REP_ERR_POLICY: it exists, but not for this client or not now. */
    POLICY,
    /** NBD_REP_ERR_SHUTDOWN: the server is stopping. */
    SHUTDOWN
  }

  private final Reason reason;

  public NbdExportException(Reason reason, String message) {
    super(message);
    this.reason = reason;
  }

  public Reason reason() {
    return reason;
  }
}
