// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.store;

/** Errors as the kernel gives them. */
public final class DiskErrors {
  private static final int EIO = 5;
  private static final int ENOSPC = 28;

  private DiskErrors() {}

  public static ErrnoException noSpace() {
    return new ErrnoException(ENOSPC, "pwrite", "data");
  }

  public static ErrnoException io() {
    return new ErrnoException(EIO, "pwrite", "data");
  }
}
