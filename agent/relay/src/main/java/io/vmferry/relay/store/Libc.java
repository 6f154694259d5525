// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.store;

import com.sun.jna.Native;

/**
 * The C library, by JNA direct mapping: about as cheap as a hand-written JNI call. Offsets, sizes
 * and addresses are Java longs, which is right on 64-bit Linux only.
 */
final class Libc implements Syscalls {

  static final Libc INSTANCE = new Libc();

  private static final int AT_EMPTY_PATH = 0x1000;

  /** STATX_SIZE and STATX_BLOCKS. */
  private static final int STATX_MASK = 0x200 | 0x400;

  private static final byte[] EMPTY_PATH = {0};

  private static final int PROT_NONE = 0;
  private static final int MAP_SHARED = 1;

  private Libc() {}

  /** The functions themselves, apart from the interface because their names are the same. */
  private static final class Functions {
    static {
      if (Native.POINTER_SIZE != Long.BYTES) {
        throw new UnsatisfiedLinkError("vmferry needs a 64-bit JVM");
      }
      Native.register(Functions.class, "c");
    }

    static native int open(byte[] path, int flags, int mode);

    static native int close(int fd);

    static native long pread(int fd, long address, long length, long offset);

    static native long pwrite(int fd, long address, long length, long offset);

    static native long preadv2(int fd, long iovec, int count, long offset, int flags);

    static native long pwritev2(int fd, long iovec, int count, long offset, int flags);

    static native long sendfile(int socket, int fd, long position, long length);

    static native long mmap(long address, long length, int access, int flags, int fd, long offset);

    static native int munmap(long address, long length);

    static native int mincore(long address, long length, long pages);

    static native int getpagesize();

    static native int fdatasync(int fd);

    static native int fsync(int fd);

    static native int ftruncate(int fd, long length);

    static native int fallocate(int fd, int mode, long offset, long length);

    static native long lseek(int fd, long offset, int whence);

    static native int statx(int fd, byte[] path, int flags, int mask, long target);
  }

  private static int result(int returned) {
    return returned < 0 ? -Native.getLastError() : returned;
  }

  private static long result(long returned) {
    return returned < 0 ? -Native.getLastError() : returned;
  }

  @Override
  public int open(byte[] path, int flags, int mode) {
    return result(Functions.open(path, flags, mode));
  }

  @Override
  public int close(int fd) {
    return result(Functions.close(fd));
  }

  @Override
  public long pread(int fd, long address, long length, long offset) {
    return result(Functions.pread(fd, address, length, offset));
  }

  @Override
  public long pwrite(int fd, long address, long length, long offset) {
    return result(Functions.pwrite(fd, address, length, offset));
  }

  @Override
  public long preadv2(int fd, long iovec, long offset, int flags) {
    return result(Functions.preadv2(fd, iovec, 1, offset, flags));
  }

  @Override
  public long pwritev2(int fd, long iovec, long offset, int flags) {
    return result(Functions.pwritev2(fd, iovec, 1, offset, flags));
  }

  @Override
  public long sendfile(int socket, int fd, long position, long length) {
    return result(Functions.sendfile(socket, fd, position, length));
  }

  @Override
  public long mapWithoutAccess(int fd, long length) {
    return result(Functions.mmap(0, length, PROT_NONE, MAP_SHARED, fd, 0));
  }

  @Override
  public int munmap(long address, long length) {
    return result(Functions.munmap(address, length));
  }

  @Override
  public int mincore(long address, long length, long pages) {
    return result(Functions.mincore(address, length, pages));
  }

  @Override
  public int pageSize() {
    return Functions.getpagesize();
  }

  @Override
  public int fdatasync(int fd) {
    return result(Functions.fdatasync(fd));
  }

  @Override
  public int fsync(int fd) {
    return result(Functions.fsync(fd));
  }

  @Override
  public int ftruncate(int fd, long length) {
    return result(Functions.ftruncate(fd, length));
  }

  @Override
  public int fallocate(int fd, int mode, long offset, long length) {
    return result(Functions.fallocate(fd, mode, offset, length));
  }

  @Override
  public long lseek(int fd, long offset, int whence) {
    return result(Functions.lseek(fd, offset, whence));
  }

  @Override
  public int statx(int fd, long target) {
    return result(Functions.statx(fd, EMPTY_PATH, AT_EMPTY_PATH, STATX_MASK, target));
  }
}
