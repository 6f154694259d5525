// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.store;

/**
 * The system calls that {@link PosixFile} makes. Each returns what the call returned, or the
 * negative error number. Addresses are native. Injected, so that a test can interrupt, shorten and
 * fail them.
 */
interface Syscalls {

  /**
   * Opens a file.
   *
   * @param path bytes with a terminating zero
   */
  int open(byte[] path, int flags, int mode);

  int close(int fd);

  long pread(int fd, long address, long length, long offset);

  long pwrite(int fd, long address, long length, long offset);

  /** Reads by the struct iovec at address {@code iovec}. */
  long preadv2(int fd, long iovec, long offset, int flags);

  /** Writes by the struct iovec at address {@code iovec}. */
  long pwritev2(int fd, long iovec, long offset, int flags);

  int fdatasync(int fd);

  int fsync(int fd);

  int ftruncate(int fd, long length);

  int fallocate(int fd, int mode, long offset, long length);

  long lseek(int fd, long offset, int whence);

  /**
   * The open file's struct statx.
   *
   * @param target address of 256 bytes
   */
  int statx(int fd, long target);
}
