// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.store;

import com.sun.jna.Memory;
import com.sun.jna.Pointer;
import java.io.ByteArrayOutputStream;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.IntSupplier;
import java.util.function.LongUnaryOperator;

/**
 * The kernel's calls, each of which can be made to give scripted answers before the real ones. A
 * scripted answer is a negative error number, or the most bytes that the call may move.
 */
final class FakeSyscalls implements Syscalls {

  private final Map<String, Deque<Long>> scripts = new HashMap<>();

  /** Names of the calls in order. */
  final List<String> calls = new ArrayList<>();

  /** What sendfile has sent. */
  final ByteArrayOutputStream sent = new ByteArrayOutputStream();

  /** What runs inside the next fdatasync; null for nothing. */
  Runnable inForce;

  /** What runs inside the next pwrite; null for nothing. */
  Runnable inWrite;

  /** The next calls of this name answer so. */
  void script(String call, long... answers) {
    Deque<Long> script = scripts.computeIfAbsent(call, name -> new ArrayDeque<>());
    for (long answer : answers) {
      script.add(answer);
    }
  }

  private synchronized Long next(String call) {
    calls.add(call);
    Deque<Long> script = scripts.get(call);
    return script == null ? null : script.poll();
  }

  synchronized long count(String call) {
    return calls.stream().filter(call::equals).count();
  }

  private static final Libc REAL = Libc.INSTANCE;

  private long limited(String call, long length, LongUnaryOperator real) {
    Long answer = next(call);
    if (answer == null) {
      return real.applyAsLong(length);
    }
    return answer < 0 ? answer : real.applyAsLong(Math.min(answer, length));
  }

  private int scripted(String call, IntSupplier real) {
    Long answer = next(call);
    return answer == null ? real.getAsInt() : answer.intValue();
  }

  @Override
  public int open(byte[] path, int flags, int mode) {
    return scripted("open", () -> REAL.open(path, flags, mode));
  }

  @Override
  public int close(int fd) {
    int real = REAL.close(fd);
    return scripted("close", () -> real);
  }

  @Override
  public long pread(int fd, long address, long length, long offset) {
    return limited("pread", length, count -> REAL.pread(fd, address, count, offset));
  }

  @Override
  public long pwrite(int fd, long address, long length, long offset) {
    Runnable hook = inWrite;
    inWrite = null;
    if (hook != null) {
      hook.run();
    }
    return limited("pwrite", length, count -> REAL.pwrite(fd, address, count, offset));
  }

  @Override
  public long preadv2(int fd, long iovec, long offset, int flags) {
    Pointer vector = new Pointer(iovec);
    return limited(
        "preadv2", vector.getLong(8), count -> REAL.pread(fd, vector.getLong(0), count, offset));
  }

  @Override
  public long pwritev2(int fd, long iovec, long offset, int flags) {
    Pointer vector = new Pointer(iovec);
    return limited(
        "pwritev2", vector.getLong(8), count -> REAL.pwrite(fd, vector.getLong(0), count, offset));
  }

  /** As if the socket were {@link #sent}. */
  @Override
  public long sendfile(int socket, int fd, long position, long length) {
    Pointer offset = new Pointer(position);
    return limited(
        "sendfile",
        length,
        count -> {
          try (Memory data = new Memory(Math.max(1, count))) {
            long moved = REAL.pread(fd, Pointer.nativeValue(data), count, offset.getLong(0));
            sent.writeBytes(data.getByteArray(0, (int) moved));
            offset.setLong(0, offset.getLong(0) + moved);
            return moved;
          }
        });
  }

  @Override
  public long mapWithoutAccess(int fd, long length) {
    Long answer = next("mmap");
    return answer == null ? REAL.mapWithoutAccess(fd, length) : answer;
  }

  @Override
  public int munmap(long address, long length) {
    return scripted("munmap", () -> REAL.munmap(address, length));
  }

  @Override
  public int mincore(long address, long length, long pages) {
    return scripted("mincore", () -> REAL.mincore(address, length, pages));
  }

  @Override
  public int pageSize() {
    return REAL.pageSize();
  }

  @Override
  public int fdatasync(int fd) {
    Runnable hook = inForce;
    inForce = null;
    if (hook != null) {
      hook.run();
    }
    return scripted("fdatasync", () -> REAL.fdatasync(fd));
  }

  @Override
  public int fsync(int fd) {
    return scripted("fsync", () -> REAL.fsync(fd));
  }

  @Override
  public int ftruncate(int fd, long length) {
    return scripted("ftruncate", () -> REAL.ftruncate(fd, length));
  }

  @Override
  public int fallocate(int fd, int mode, long offset, long length) {
    return scripted("fallocate", () -> REAL.fallocate(fd, mode, offset, length));
  }

  @Override
  public long lseek(int fd, long offset, int whence) {
    Long answer = next("lseek");
    return answer == null ? REAL.lseek(fd, offset, whence) : answer;
  }

  @Override
  public int statx(int fd, long target) {
    return scripted("statx", () -> REAL.statx(fd, target));
  }
}
