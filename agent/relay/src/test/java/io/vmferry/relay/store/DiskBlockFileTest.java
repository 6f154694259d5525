// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.store;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.CompositeByteBuf;
import io.netty.buffer.Unpooled;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.StandardOpenOption;
import java.util.Arrays;
import java.util.concurrent.RejectedExecutionException;
import org.junit.jupiter.api.Test;

/** Reads, the way back of what was written, opening and closing. */
final class DiskBlockFileTest extends DiskBlockFileFixture {
  @Test
  void readsBackWhatWasWrittenUpToTheOddEnd() {
    write(SIZE - 5000, random(5000, 1));

    holds(SIZE - 5000, random(5000, 1));
  }

  @Test
  void unwrittenIsZero() {
    holds(12_345, Unpooled.wrappedBuffer(new byte[6789]));
  }

  @Test
  void refusesRangesOutsideTheFile() {
    ByteBuf target = Unpooled.directBuffer(16);
    assertThatThrownBy(() -> file.read(SIZE - 1, target, 2, note("read")))
        .isInstanceOf(IndexOutOfBoundsException.class);
    assertThatThrownBy(() -> file.zero(-1, 2, true, note("zero")))
        .isInstanceOf(IndexOutOfBoundsException.class);
    assertThatThrownBy(() -> file.zero(5, Long.MAX_VALUE, true, note("zero")))
        .isInstanceOf(IndexOutOfBoundsException.class);
    target.release();
    assertThat(answers).isEmpty();
  }

  @Test
  void aCachedReadIsAnsweredBeforeTheCallReturns() {
    write(0, random(4096, 1));
    ByteBuf target = Unpooled.directBuffer(4096);
    answers.clear();

    file.read(0, target, 4096, note("read"));

    assertThat(answers).containsExactly("read");
    assertThat(io).isEmpty();
    target.release();
  }

  @Test
  void aReadThatWouldBlockGoesOnElsewhereFromWhereItWas() {
    write(0, random(4096, 1));
    syscalls.script("preadv2", 1000, -Errno.EAGAIN);
    ByteBuf target = Unpooled.directBuffer(4096);
    answers.clear();

    file.read(0, target, 4096, note("read"));

    assertThat(answers).isEmpty();
    assertThat(target.readableBytes()).isZero();
    settle();
    assertThat(answers).containsExactly("read");
    ByteBuf expected = random(4096, 1);
    assertThat(target.equals(expected)).isTrue();
    expected.release();
    target.release();
  }

  @Test
  void aFileSystemWithoutNowaitIsAskedOnce() {
    syscalls.script("preadv2", -Errno.EOPNOTSUPP);
    syscalls.script("pwritev2", -Errno.EOPNOTSUPP);

    for (int i = 0; i < 3; i++) {
      write(i * 4096L, random(4096, i));
      holds(i * 4096L, random(4096, i));
    }

    assertThat(syscalls.count("preadv2")).isEqualTo(1);
    assertThat(syscalls.count("pwritev2")).isEqualTo(1);
    assertThat(syscalls.count("pwrite")).isEqualTo(3);
  }

  @Test
  void shortAndInterruptedReadsAreContinued() {
    write(0, random(4096, 1));
    syscalls.script("preadv2", -Errno.EINTR, -Errno.EAGAIN);
    syscalls.script("pread", 1, -Errno.EINTR, 77);

    holds(0, random(4096, 1));
  }

  @Test
  void largeTransfersDontHoldTheEventLoop() {
    int large = DiskBlockFile.MAX_INLINE_BYTES + 1;

    write(0, random(large, 1));
    holds(0, random(large, 1));

    assertThat(syscalls.calls).doesNotContain("preadv2", "pwritev2");
  }

  @Test
  void heapAndCompositeBuffersAreRight() {
    CompositeByteBuf source = Unpooled.compositeBuffer();
    source.addComponents(true, random(1000, 1), random(3096, 2));
    write(0, source);
    CompositeByteBuf target = Unpooled.compositeBuffer();
    target.addComponents(true, random(10, 9), Unpooled.directBuffer(3));
    ByteBuf heap = Unpooled.buffer(1);

    file.read(0, target, 4096, note("read"));
    file.read(0, heap, 4096, note("read"));
    settle();

    ByteBuf expected = Unpooled.wrappedBuffer(random(1000, 1), random(3096, 2));
    assertThat(target.slice(10, 4096).equals(expected)).isTrue();
    assertThat(heap.equals(expected)).isTrue();
    expected.release();
    target.release();
    write(4096, heap);
    expected = Unpooled.wrappedBuffer(random(1000, 1), random(3096, 2));
    holds(4096, expected);
  }

  @Test
  void aReadPastTheEndOfACutFileIsAnError() throws IOException {
    try (PosixFile other = PosixFile.open(Libc.INSTANCE, path, PosixFile.O_RDWR)) {
      other.truncate(100);
    }
    ByteBuf target = Unpooled.directBuffer(4096);
    file.read(0, target, 4096, note("read"));
    settle();

    assertThat(answers.get(0)).contains("ends at byte 100");
    assertThat(target.readableBytes()).isZero();
    target.release();
  }

  @Test
  void anUnexpectedExceptionIsAnErrorToo() {
    syscalls.inForce =
        () -> {
          throw new IllegalStateException("unexpected");
        };
    file.force(note("force"));
    settle();

    assertThat(answers.get(0)).contains("poisoned").contains("unexpected");
  }

  @Test
  void closesOnlyAfterWhatIsUnderWay() {
    syscalls.script("pwritev2", -Errno.EAGAIN);
    ByteBuf bytes = random(4096, 1);
    file.write(0, bytes, note("write"));
    file.close();

    assertThat(syscalls.calls).doesNotContain("close");
    settle();
    assertThat(answers).containsExactly("write");
    assertThat(syscalls.count("close")).isEqualTo(1);
    bytes.release();
  }

  @Test
  void whoClosesWhenTheLastOperationEndsClosesOnce() {
    file.force(error -> file.close());
    settle();
    assertThat(syscalls.count("close")).isEqualTo(1);
  }

  @Test
  void refusesEverythingOnceClosed() {
    file.force(note("under way"));
    file.force(note("waiting"));
    file.close();
    settle();
    ByteBuf bytes = random(10, 1);
    file.read(0, bytes, 10, note("read"));
    file.write(0, bytes, note("write"));
    file.zero(0, 10, true, note("zero"));
    file.zero(0, 0, true, note("nothing"));
    file.force(note("force"));
    file.extents(0, 10, (at, size, hole) -> true, note("extents"));
    bytes.release();

    assertThatThrownBy(file::allocated).hasMessageContaining("is closed");
    assertThat(answers.get(0)).isEqualTo("under way");
    assertThat(answers.subList(1, 8)).hasSize(7).allMatch(answer -> answer.contains("is closed"));
    assertThat(syscalls.calls).containsExactly("open", "fdatasync", "close");
  }

  @Test
  void aStoppedExecutorIsAnError() throws IOException {
    DiskBlockFile stopped =
        DiskBlockFile.open(
            path,
            SIZE,
            loop::add,
            task -> {
              throw new RejectedExecutionException();
            });
    stopped.force(note("force"));
    stopped.close();

    assertThat(answers.get(0)).contains("stopping");
  }

  @Test
  void growsAFileWhoseEarlierGrowthWasInterrupted() throws IOException {
    DiskBlockFile.grow(path, SIZE, SIZE + 4096);
    Files.write(path, new byte[] {1}, StandardOpenOption.APPEND);
    DiskBlockFile.open(path, SIZE, loop::add, io::add).close();
    DiskBlockFile.grow(path, SIZE, SIZE + 8192);
    byte[] content = Files.readAllBytes(path);
    assertThat(content).hasSize(SIZE + 8192);
    assertThat(Arrays.copyOfRange(content, SIZE, content.length)).containsOnly(0);
  }

  @Test
  void refusesAFileThatIsTooSmall() {
    assertThatThrownBy(() -> DiskBlockFile.open(path, SIZE + 1, loop::add, io::add))
        .isInstanceOf(BrokenFileException.class)
        .hasMessageContaining("where the volume has");
  }

  @Test
  void neverCreatesOverAnExistingFile() {
    assertThatThrownBy(() -> DiskBlockFile.create(path, SIZE, loop::add, io::add))
        .isInstanceOf(ErrnoException.class)
        .hasMessageContaining("EEXIST");
  }
}
