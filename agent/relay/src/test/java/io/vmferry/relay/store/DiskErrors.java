// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.store;

/** Errors as the kernel gives them. */
public final class DiskErrors {
  private static final int EIO = 5;
  private static final int ENOSPC = 28;
  private static final int EROFS = 30;

  private DiskErrors() {}

  public static ErrnoException noSpace() {
    return new ErrnoException(ENOSPC, "pwrite", "data");
  }

  /** The kernel has made the file system read-only, as ext4 does after an error of its own. */
  public static ErrnoException readOnly(String operation) {
    return new ErrnoException(EROFS, operation, "data");
  }

  public static ErrnoException io() {
    return new ErrnoException(EIO, "pwrite", "data");
  }
}
