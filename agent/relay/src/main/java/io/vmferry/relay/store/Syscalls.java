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

  /**
   * Sends from a file to a socket.
   *
   * @param position address of the offset, 8 bytes; it is moved on
   */
  long sendfile(int socket, int fd, long position, long length);

  /** Maps the file from its first byte on, shared, without access; returns the address. */
  long mapWithoutAccess(int fd, long length);

  int munmap(long address, long length);

  /**
   * Which pages of a mapping are in memory.
   *
   * @param pages address of one byte per page, whose lowest bit is the answer
   */
  int mincore(long address, long length, long pages);

  /** Bytes. */
  int pageSize();

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
