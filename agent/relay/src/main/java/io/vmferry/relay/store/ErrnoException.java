// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.store;

import java.io.IOException;

/** A system call failed. */
public final class ErrnoException extends IOException {
  private static final long serialVersionUID = 1L;

  private final int errno;
  private final String operation;
  private final String path;

  ErrnoException(int errno, String operation, String path) {
    super(operation + " of " + path + " failed: " + Errno.describe(errno));
    this.errno = errno;
    this.operation = operation;
    this.path = path;
  }

  /** The error number, as in errno.h. */
  public int errno() {
    return errno;
  }

  /** Name of the system call. */
  public String operation() {
    return operation;
  }

  public String path() {
    return path;
  }

  /** Whether the file system or the quota is full: nothing is damaged, and space cures it. */
  public boolean noSpace() {
    return errno == Errno.ENOSPC || errno == Errno.EDQUOT;
  }
}
