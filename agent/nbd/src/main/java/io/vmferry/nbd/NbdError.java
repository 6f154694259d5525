// SPDX-License-Identifier: Apache-2.0
package io.vmferry.nbd;

/** The errno values that NBD allows on the wire, and no others (proto.md, "Error values"). */
public enum NbdError {
  EPERM(1),
  EIO(5),
  ENOMEM(12),
  EINVAL(22),
  ENOSPC(28),
  EOVERFLOW(75),
  ENOTSUP(95),
  ESHUTDOWN(108);

  private final int code;

  NbdError(int code) {
    this.code = code;
  }

  /** Value on the wire. */
  public int code() {
    return code;
  }
}
