// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.store;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.sun.jna.Memory;
import com.sun.jna.Pointer;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

final class PosixFileTest {

  private static final int LENGTH = 8192;

  @TempDir Path directory;

  private final FakeSyscalls syscalls = new FakeSyscalls();

  private PosixFile open(Syscalls calls) throws IOException {
    return PosixFile.open(calls, directory.resolve("file"), PosixFile.O_RDWR | PosixFile.O_CREAT);
  }

  private static byte[] pattern() {
    byte[] bytes = new byte[LENGTH];
    for (int i = 0; i < LENGTH; i++) {
      bytes[i] = (byte) (i * 31 + i / 256);
    }
    return bytes;
  }

  /** Through the real kernel: right arguments, right structures. */
  private static void triesRight(Path path, int expectedOfRead) throws IOException {
    try (PosixFile file =
            PosixFile.open(Libc.INSTANCE, path, PosixFile.O_RDWR | PosixFile.O_CREAT);
        Memory memory = new Memory(LENGTH)) {
      long address = Pointer.nativeValue(memory);
      memory.write(0, pattern(), 0, LENGTH);
      int written = file.tryWrite(100, address, LENGTH);
      assertThat(written)
          .satisfiesAnyOf(
              n -> assertThat(n).isBetween(1, LENGTH),
              n -> assertThat(n).isIn(PosixFile.WOULD_BLOCK, PosixFile.UNSUPPORTED));
      int progress = Math.max(0, written);
      file.write(100 + progress, address + progress, LENGTH - progress);
      assertThat(file.size()).isEqualTo(100 + LENGTH);
      memory.clear();

      int read = file.tryRead(100, address, LENGTH);

      assertThat(read).isEqualTo(expectedOfRead);
      if (read == LENGTH) {
        assertThat(memory.getByteArray(0, LENGTH)).isEqualTo(pattern());
        assertThat(file.tryRead(100 + LENGTH, address, LENGTH)).isZero();
      }
      assertThat(Arrays.copyOfRange(Files.readAllBytes(path), 100, 100 + LENGTH))
          .isEqualTo(pattern());
      assertThat(file.allocated()).isGreaterThanOrEqualTo(LENGTH);
    }
  }

  @Test
  void triesReallyOnADisk() throws IOException {
    triesRight(directory.resolve("tried"), LENGTH); // just written, so in the page cache
  }

  @Test
  void tmpfsCannotSayWhetherItWouldWait() throws IOException {
    Path file = Files.createTempFile(Path.of("/dev/shm"), "vmferry-test", null);
    try {
      triesRight(file, PosixFile.UNSUPPORTED);
    } finally {
      Files.delete(file);
    }
  }

  @Test
  void namesTheCallTheFileAndTheReason() {
    assertThatThrownBy(
            () -> PosixFile.open(Libc.INSTANCE, directory.resolve("no/file"), PosixFile.O_RDWR))
        .isInstanceOfSatisfying(
            ErrnoException.class,
            e -> {
              assertThat(e.errno()).isEqualTo(Errno.ENOENT);
              assertThat(e.operation()).isEqualTo("open");
              assertThat(e.path()).endsWith("no/file");
              assertThat(e).hasMessageContaining("no such file or directory (ENOENT)");
              assertThat(e.noSpace()).isFalse();
            });
  }

  @Test
  void eachForceReportsItsError() throws IOException {
    try (PosixFile file = open(syscalls)) {
      syscalls.script("fdatasync", -Errno.EINTR, -Errno.EIO);
      syscalls.script("fsync", -Errno.EROFS);
      syscalls.script("ftruncate", -Errno.EFBIG);
      syscalls.script("statx", -Errno.EIO);

      assertThatThrownBy(file::fdatasync).hasMessageContaining("EIO");
      assertThatThrownBy(file::fsync).hasMessageContaining("EROFS");
      assertThatThrownBy(() -> file.truncate(1)).hasMessageContaining("EFBIG");
      assertThatThrownBy(file::size).hasMessageContaining("statx");
    }
  }

  @Test
  void anInterruptedCloseIsNotRepeated() throws IOException {
    PosixFile file = open(syscalls);
    syscalls.script("close", -Errno.EINTR);

    file.close();

    assertThat(syscalls.count("close")).isEqualTo(1);
  }

  @Test
  void aFailedCloseIsReported() throws IOException {
    PosixFile file = open(syscalls);
    syscalls.script("close", -Errno.EIO);

    assertThatThrownBy(file::close).hasMessageContaining("EIO");
  }

  @Test
  void explainsEachKnownNumber() {
    for (int errno :
        new int[] {
          Errno.EPERM,
          Errno.EACCES,
          Errno.EEXIST,
          Errno.EISDIR,
          Errno.EINVAL,
          Errno.EMFILE,
          Errno.ENOSPC,
          Errno.EROFS,
          Errno.EOPNOTSUPP,
          Errno.EDQUOT
        }) {
      assertThat(Errno.describe(errno)).matches(".+\\(E[A-Z]+\\).*");
    }
    assertThat(Errno.describe(77)).isEqualTo("error number 77");
  }
}
