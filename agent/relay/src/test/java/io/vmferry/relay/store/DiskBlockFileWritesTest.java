// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.store;

import static org.assertj.core.api.Assertions.assertThat;

import io.netty.buffer.ByteBuf;
import org.junit.jupiter.api.Test;

/** Where writes are carried out, in which order, and what becomes of one that fails. */
final class DiskBlockFileWritesTest extends DiskBlockFileFixture {
  /** As on ext4: the kernel can't be asked whether a write would wait. */
  private void unaskable() {
    syscalls.script("pwritev2", -Errno.EOPNOTSUPP);
    write(0, random(4096, 1));
    answers.clear();
  }

  private String whereWritten(long offset, int length) {
    ByteBuf bytes = random(length, offset);
    answers.clear();
    file.write(offset, bytes, note("write"));
    String where = io.isEmpty() ? "here" : "elsewhere";
    settle();
    assertThat(answers).containsExactly("write");
    bytes.release();
    holds(offset, random(length, offset));
    return where;
  }

  @Test
  void wholePagesAreWrittenAtOnceWhereTheKernelCannotBeAsked() {
    unaskable();

    assertThat(whereWritten(4096, 4096)).isEqualTo("here");
    assertThat(whereWritten(8192, 1 << 20)).isEqualTo("here");
  }

  @Test
  void aPageInPartMayHaveToBeReadFirstSoItIsWrittenElsewhere() {
    unaskable();

    assertThat(whereWritten(512, 4096)).isEqualTo("elsewhere");
    assertThat(whereWritten(4096, 512)).isEqualTo("elsewhere");
    assertThat(whereWritten(4096, (1 << 20) + 4096)).isEqualTo("elsewhere");
  }

  @Test
  void afterOneSlowWriteTheLoopIsSpared() {
    unaskable();
    syscalls.inWrite = () -> now += InlineWrites.SLOW;
    assertThat(whereWritten(4096, 4096)).isEqualTo("here");

    assertThat(whereWritten(4096, 4096)).isEqualTo("elsewhere");
    now += InlineWrites.FIRST_PAUSE;
    assertThat(whereWritten(4096, 4096)).isEqualTo("here");
  }

  @Test
  void aDiskThatStaysSlowIsNotTriedOnTheLoopAgain() {
    unaskable();
    syscalls.inWrite = () -> now += InlineWrites.SLOW;
    assertThat(whereWritten(4096, 4096)).isEqualTo("here");

    for (int i = 0; i < 100; i++) {
      now += InlineWrites.FIRST_PAUSE - 1;
      syscalls.inWrite = () -> now += InlineWrites.SLOW;
      assertThat(whereWritten(4096, 4096)).isEqualTo("elsewhere");
    }
  }

  @Test
  void nothingIsWrittenOnTheLoopWhileTheFileIsForcedOrZeroed() {
    unaskable();
    ByteBuf bytes = random(4096, 1);

    file.force(note("force"));
    file.write(0, bytes, note("write"));
    assertThat(answers).isEmpty();
    settle();
    file.zero(0, 4096, true, note("zero"));
    file.write(4096, bytes, note("write"));
    assertThat(answers).containsExactly("force", "write");
    settle();
    file.write(4096, bytes, note("write"));

    assertThat(answers).containsExactly("force", "write", "zero", "write", "write");
    bytes.release();
  }

  @Test
  void writesThatGatherMeanwhileShareOneTask() {
    unaskable();
    file.force(note("force"));
    ByteBuf bytes = random(4096, 1);
    for (int i = 0; i < 10; i++) {
      file.write(4096L * i, bytes, note("write " + i));
    }
    assertThat(io).hasSize(2);
    io.remove().run();
    io.remove().run();
    loop.remove().run();
    loop.remove().run();
    assertThat(answers).containsExactly("force", "write 0");

    assertThat(io).hasSize(1);
    io.remove().run();
    assertThat(loop).hasSize(1);
    loop.remove().run();
    assertThat(answers).hasSize(11).endsWith("write 8", "write 9");
    bytes.release();
  }

  @Test
  void aSlowWriteDelaysNoneBeforeIt() {
    unaskable();
    file.force(note("force"));
    ByteBuf bytes = random(4096, 1);
    file.write(0, bytes, note("first"));
    io.remove().run();
    file.write(4096, bytes, note("quick"));
    file.write(8192, bytes, note("slow"));
    file.write(12288, bytes, note("after it"));
    io.remove().run();
    loop.remove().run();
    loop.remove().run();
    syscalls.inWrite = () -> syscalls.inWrite = () -> now += WriteLane.TELL_AFTER;

    io.remove().run();

    assertThat(loop).hasSize(2);
    loop.remove().run();
    assertThat(answers).containsExactly("force", "first", "quick", "slow");
    settle();
    assertThat(answers).endsWith("slow", "after it");
    bytes.release();
  }

  @Test
  void whatWaitsToBeWrittenIsWrittenBeforeTheFileIsClosed() {
    unaskable();
    file.force(note("force"));
    ByteBuf bytes = random(4096, 7);
    file.write(4096, bytes, note("first"));
    file.write(8192, bytes, note("second"));
    file.close();
    settle();

    assertThat(answers).containsExactly("force", "first", "second");
    assertThat(syscalls.calls).endsWith("pwrite", "pwrite", "close");
    bytes.release();
  }

  @Test
  void aBrokenCallbackLeavesNoOtherWriteUnanswered() {
    unaskable();
    file.force(note("force"));
    ByteBuf bytes = random(4096, 7);
    file.write(0, bytes, note("first"));
    file.write(
        4096,
        bytes,
        error -> {
          throw new IllegalStateException("broken");
        });
    file.write(8192, bytes, note("last"));
    settle();

    assertThat(answers).containsExactly("force", "first", "last");
    bytes.release();
  }

  @Test
  void oneFailedWriteOfManyFailsAlone() {
    unaskable();
    file.force(note("force"));
    ByteBuf bytes = random(4096, 7);
    syscalls.script("pwrite", 4096, -Errno.ENOSPC);
    for (int i = 0; i < 3; i++) {
      file.write(4096L * i, bytes, note("write " + i));
    }
    settle();

    assertThat(answers).hasSize(4).startsWith("force", "write 0").endsWith("write 2");
    assertThat(answers.get(2)).startsWith("write 1: ").contains("ENOSPC");
    bytes.release();
  }

  @Test
  void aWriteThatWouldBlockGoesOnElsewhereFromWhereItWas() {
    syscalls.script("pwritev2", 1000, -Errno.EAGAIN);
    syscalls.script("pwrite", -Errno.EINTR, 5, 700);

    write(100, random(4096, 1));

    assertThat(syscalls.count("pwrite")).isEqualTo(4);
    holds(100, random(4096, 1));
  }

  @Test
  void theLoopReadsItsSocketsBetweenTheTwoPartsOfALargeWrite() {
    unaskable();
    ByteBuf bytes = random(FileWriter.LARGE, 1);
    syscalls.calls.clear();

    file.write(4096, bytes, note("write"));
    assertThat(answers).isEmpty();
    assertThat(syscalls.calls).containsExactly("pwrite");
    assertThat(io).isEmpty();
    loop.remove().run();

    assertThat(answers).containsExactly("write");
    assertThat(syscalls.calls).containsExactly("pwrite", "pwrite");
    bytes.release();
    holds(4096, random(FileWriter.LARGE, 1));
  }

  @Test
  void soItDoesWhereTheKernelCanBeAsked() {
    ByteBuf bytes = random(FileWriter.LARGE + 1000, 1);
    file.write(100, bytes, note("write"));
    assertThat(answers).isEmpty();
    loop.remove().run();

    assertThat(answers).containsExactly("write");
    assertThat(syscalls.calls).endsWith("pwritev2", "pwritev2").doesNotContain("pwrite");
    bytes.release();
    holds(100, random(FileWriter.LARGE + 1000, 1));
  }

  @Test
  void aSmallerWriteIsMadeAtOnce() {
    unaskable();
    ByteBuf bytes = random(FileWriter.LARGE - 4096, 1);
    file.write(0, bytes, note("write"));

    assertThat(answers).containsExactly("write");
    bytes.release();
  }

  @Test
  void theRestIsMadeElsewhereIfTheFileIsForcedMeanwhile() {
    unaskable();
    ByteBuf bytes = random(FileWriter.LARGE, 1);
    file.write(0, bytes, note("write"));
    file.force(note("force"));
    loop.remove().run();

    assertThat(io).hasSize(2);
    settle();
    assertThat(answers).containsExactlyInAnyOrder("force", "write");
    bytes.release();
    holds(0, random(FileWriter.LARGE, 1));
  }

  @Test
  void theRestIsMadeElsewhereIfTheFirstPartWasSlow() {
    unaskable();
    syscalls.inWrite = () -> now += InlineWrites.SLOW;
    ByteBuf bytes = random(FileWriter.LARGE, 1);
    file.write(0, bytes, note("write"));
    loop.remove().run();

    assertThat(io).hasSize(1);
    settle();
    assertThat(answers).containsExactly("write");
    bytes.release();
    holds(0, random(FileWriter.LARGE, 1));
  }

  @Test
  void theRestIsNotWrittenIfTheFirstPartFails() {
    unaskable();
    syscalls.script("pwrite", -Errno.EIO);
    syscalls.calls.clear();
    ByteBuf bytes = random(FileWriter.LARGE, 1);
    file.write(0, bytes, note("write"));

    assertThat(loop).isEmpty();
    assertThat(io).isEmpty();
    assertThat(answers).hasSize(1);
    assertThat(answers.get(0)).startsWith("write: ").contains("EIO");
    assertThat(syscalls.calls).containsExactly("pwrite");
    bytes.release();
  }

  @Test
  void aFailureOfTheRestIsThatOfTheWriteAndPoisons() {
    unaskable();
    syscalls.script("pwrite", FileWriter.LARGE / 2, -Errno.EIO);
    ByteBuf bytes = random(FileWriter.LARGE, 1);
    file.write(0, bytes, note("write"));
    loop.remove().run();
    file.force(note("force"));

    assertThat(answers).hasSize(2);
    assertThat(answers.get(0)).startsWith("write: ").contains("EIO");
    assertThat(answers.get(1)).startsWith("force: ").contains("poisoned");
    bytes.release();
  }

  @Test
  void aFileThatIsClosedBetweenThePartsGetsTheRest() {
    unaskable();
    syscalls.calls.clear();
    ByteBuf bytes = random(FileWriter.LARGE, 1);
    file.write(0, bytes, note("write"));
    file.close();
    settle();

    assertThat(answers).containsExactly("write");
    assertThat(syscalls.calls).containsExactly("pwrite", "pwrite", "close");
    bytes.release();
  }
}
