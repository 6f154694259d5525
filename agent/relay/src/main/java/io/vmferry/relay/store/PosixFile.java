// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.store;

import static java.nio.charset.StandardCharsets.UTF_8;

import com.sun.jna.Memory;
import com.sun.jna.Native;
import com.sun.jna.Pointer;
import java.io.Closeable;
import java.io.EOFException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.function.LongSupplier;

/**
 * An open file, with the calls that FileChannel hasn't: reads and writes that never wait, holes,
 * error numbers. Interrupted calls are repeated, short ones continued.
 *
 * <p>Thread-safe, except that {@link #tryRead}, {@link #tryWrite} and {@link #trySend} belong to
 * one thread. Nothing may run after {@link #close}: the descriptor may then be another file's.
 */
final class PosixFile implements Closeable {

  static final int O_RDONLY = 0;
  static final int O_WRONLY = 1;
  static final int O_RDWR = 2;
  static final int O_CREAT = 0x40;
  static final int O_EXCL = 0x80;
  static final int O_TRUNC = 0x200;
  private static final int O_CLOEXEC = 0x80000;

  /** New files: the owner reads and writes, the group reads. */
  private static final int MODE = 0640;

  /** Answer of a try: it would have waited, or did only a part. */
  static final int WOULD_BLOCK = -1;

  /** Answer of a try: this file system can't say whether it would wait; don't ask again. */
  static final int UNSUPPORTED = -2;

  private static final int RWF_NOWAIT = 8;
  private static final int FALLOC_KEEP_SIZE = 1;
  private static final int FALLOC_PUNCH_HOLE = 2;
  private static final int FALLOC_ZERO_RANGE = 0x10;
  private static final int SEEK_DATA = 3;
  private static final int SEEK_HOLE = 4;

  private static final int STATX_BYTES = 256;
  private static final int STATX_SIZE_AT = 40;
  private static final int STATX_BLOCKS_AT = 48;
  private static final int STATX_BLOCK_BYTES = 512;

  private static final int IOVEC_BYTES = 16;

  private final Syscalls syscalls;
  private final Path path;
  private final int fd;
  private final ByteBuffer iovec =
      ByteBuffer.allocateDirect(IOVEC_BYTES).order(ByteOrder.nativeOrder());
  private final long iovecAddress = Pointer.nativeValue(Native.getDirectBufferPointer(iovec));
  private final ByteBuffer position =
      ByteBuffer.allocateDirect(Long.BYTES).order(ByteOrder.nativeOrder());
  private final long positionAddress = Pointer.nativeValue(Native.getDirectBufferPointer(position));

  private PosixFile(Syscalls syscalls, Path path, int fd) {
    this.syscalls = syscalls;
    this.path = path;
    this.fd = fd;
  }

  /**
   * @param flags as in fcntl.h; O_CLOEXEC is added
   */
  static PosixFile open(Syscalls syscalls, Path path, int flags) throws ErrnoException {
    byte[] name = path.toString().getBytes(UTF_8);
    byte[] terminated = Arrays.copyOf(name, name.length + 1);
    int fd = (int) retry(() -> syscalls.open(terminated, flags | O_CLOEXEC, MODE));
    if (fd < 0) {
      throw new ErrnoException(-fd, "open", path.toString());
    }
    return new PosixFile(syscalls, path, fd);
  }

  /**
   * Reads what can be had without waiting for a disk.
   *
   * @return bytes read, 0 at the end of the file, WOULD_BLOCK or UNSUPPORTED
   */
  int tryRead(long offset, long address, int length) throws ErrnoException {
    iovec.putLong(0, address).putLong(Long.BYTES, length);
    return tried("preadv2", retry(() -> syscalls.preadv2(fd, iovecAddress, offset, RWF_NOWAIT)));
  }

  /**
   * Writes what can be taken without waiting.
   *
   * @return bytes written, WOULD_BLOCK or UNSUPPORTED
   */
  int tryWrite(long offset, long address, int length) throws ErrnoException {
    iovec.putLong(0, address).putLong(Long.BYTES, length);
    return tried("pwritev2", retry(() -> syscalls.pwritev2(fd, iovecAddress, offset, RWF_NOWAIT)));
  }

  /**
   * Sends to a socket what the file has, which should be in the page cache: what isn't is waited
   * for.
   *
   * @param socket descriptor, nonblocking
   * @return bytes sent, 0 at the end of the file, WOULD_BLOCK if the socket has no room, or
   *     UNSUPPORTED
   */
  int trySend(int socket, long offset, int length) throws ErrnoException {
    position.putLong(0, offset);
    return tried("sendfile", retry(() -> syscalls.sendfile(socket, fd, positionAddress, length)));
  }

  /** Which of its first {@code size} bytes are in the page cache. */
  ResidentPages residentPages(long size) {
    return new ResidentPages(syscalls, path, fd, size);
  }

  private int tried(String operation, long result) throws ErrnoException {
    if (result >= 0) {
      return (int) result;
    }
    return switch ((int) -result) {
      case Errno.EAGAIN -> WOULD_BLOCK;
      case Errno.EOPNOTSUPP, Errno.ENOSYS, Errno.EINVAL -> UNSUPPORTED;
      default -> throw new ErrnoException((int) -result, operation, path.toString());
    };
  }

  /** Reads exactly {@code length} bytes; blocks. */
  void read(long offset, long address, int length) throws IOException {
    int done = 0;
    while (done < length) {
      int at = done;
      long count =
          check("pread", retry(() -> syscalls.pread(fd, address + at, length - at, offset + at)));
      if (count == 0) {
        throw new EOFException(
            path
                + " ends at byte "
                + (offset + at)
                + ", before the volume does: it was cut"
                + " short by something else. Restore it, or delete the replica");
      }
      done += (int) count;
    }
  }

  /** Writes exactly {@code length} bytes; blocks. */
  void write(long offset, long address, int length) throws ErrnoException {
    int done = 0;
    while (done < length) {
      int at = done;
      long count =
          check("pwrite", retry(() -> syscalls.pwrite(fd, address + at, length - at, offset + at)));
      done += (int) count;
    }
  }

  void fdatasync() throws ErrnoException {
    check("fdatasync", retry(() -> syscalls.fdatasync(fd)));
  }

  void fsync() throws ErrnoException {
    check("fsync", retry(() -> syscalls.fsync(fd)));
  }

  void truncate(long size) throws ErrnoException {
    check("ftruncate", retry(() -> syscalls.ftruncate(fd, size)));
  }

  /** Makes the range a hole; false if the file system can't. */
  boolean punchHole(long offset, long length) throws ErrnoException {
    return fallocate(FALLOC_PUNCH_HOLE | FALLOC_KEEP_SIZE, offset, length);
  }

  /** Makes the range allocated zeroes; false if the file system can't. */
  boolean zeroRange(long offset, long length) throws ErrnoException {
    return fallocate(FALLOC_ZERO_RANGE | FALLOC_KEEP_SIZE, offset, length);
  }

  /** Allocates the holes of the range; false if the file system can't. */
  boolean allocate(long offset, long length) throws ErrnoException {
    return fallocate(FALLOC_KEEP_SIZE, offset, length);
  }

  private boolean fallocate(int mode, long offset, long length) throws ErrnoException {
    long result = retry(() -> syscalls.fallocate(fd, mode, offset, length));
    if (result == -Errno.EOPNOTSUPP || result == -Errno.ENOSYS) {
      return false;
    }
    check("fallocate", result);
    return true;
  }

  /** First byte of data at or after {@code offset}, {@code Long.MAX_VALUE} if there is none. */
  long seekData(long offset) throws ErrnoException {
    long result = retry(() -> syscalls.lseek(fd, offset, SEEK_DATA));
    if (result == -Errno.ENXIO) {
      return Long.MAX_VALUE;
    }
    // A file system that doesn't know its holes: all is data.
    return unknowing(result) ? offset : check("lseek", result);
  }

  /** First byte of a hole at or after {@code offset}; the end of the file is one. */
  long seekHole(long offset) throws ErrnoException {
    long result = retry(() -> syscalls.lseek(fd, offset, SEEK_HOLE));
    return unknowing(result) || result == -Errno.ENXIO ? Long.MAX_VALUE : check("lseek", result);
  }

  private static boolean unknowing(long result) {
    return result == -Errno.EINVAL || result == -Errno.EOPNOTSUPP;
  }

  long size() throws ErrnoException {
    return statx(STATX_SIZE_AT);
  }

  /** Bytes allocated on disk. */
  long allocated() throws ErrnoException {
    return statx(STATX_BLOCKS_AT) * STATX_BLOCK_BYTES;
  }

  private long statx(int field) throws ErrnoException {
    try (Memory memory = new Memory(STATX_BYTES)) {
      check("statx", retry(() -> syscalls.statx(fd, Pointer.nativeValue(memory))));
      return memory.getLong(field);
    }
  }

  /** Closes the descriptor. Not repeated when interrupted: Linux has released it by then. */
  @Override
  public void close() throws ErrnoException {
    int result = syscalls.close(fd);
    if (result != -Errno.EINTR) {
      check("close", result);
    }
  }

  private long check(String operation, long result) throws ErrnoException {
    if (result < 0) {
      throw new ErrnoException((int) -result, operation, path.toString());
    }
    return result;
  }

  private static long retry(LongSupplier call) {
    long result = call.getAsLong();
    while (result == -Errno.EINTR) {
      result = call.getAsLong();
    }
    return result;
  }
}
