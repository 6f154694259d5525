// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.store;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.CompositeByteBuf;
import io.netty.buffer.Unpooled;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Deque;
import java.util.List;
import java.util.Random;
import java.util.concurrent.RejectedExecutionException;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Event loop and I/O executor are queues that the test runs by hand, so nothing here races. */
final class DiskBlockFileTest {

  /** Odd on purpose: neither whole blocks nor whole sectors. */
  private static final int SIZE = 3 * 1024 * 1024 + 777;

  @TempDir Path directory;

  private final FakeSyscalls syscalls = new FakeSyscalls();
  private final Deque<Runnable> loop = new ArrayDeque<>();
  private final Deque<Runnable> io = new ArrayDeque<>();
  private final List<String> answers = new ArrayList<>();
  private Path path;
  private DiskBlockFile file;
  private long now = 1_000_000_000L;

  @BeforeEach
  void setUp() throws IOException {
    path = directory.resolve("data");
    DiskBlockFile.create(path, SIZE, loop::add, io::add).close();
    PosixFile opened = PosixFile.open(syscalls, path, PosixFile.O_RDWR);
    file = new DiskBlockFile(path, opened, SIZE, loop::add, io::add, () -> now);
  }

  @AfterEach
  void tearDown() {
    file.close();
    settle();
  }

  private void settle() {
    while (!io.isEmpty() || !loop.isEmpty()) {
      (io.isEmpty() ? loop : io).remove().run();
    }
  }

  private BlockFile.Done note(String name) {
    return error -> answers.add(error == null ? name : name + ": " + error.getMessage());
  }

  private static ByteBuf random(int length, long seed) {
    byte[] bytes = new byte[length];
    new Random(seed).nextBytes(bytes);
    return Unpooled.directBuffer(Math.max(1, length)).writeBytes(bytes);
  }

  private void write(long offset, ByteBuf bytes) {
    file.write(offset, bytes, note("write"));
    settle();
    bytes.release();
  }

  private void holds(long offset, ByteBuf expected) {
    ByteBuf found = Unpooled.directBuffer(1);
    file.read(offset, found, expected.readableBytes(), note("read"));
    settle();
    assertThat(answers.get(answers.size() - 1)).isEqualTo("read");
    assertThat(found.equals(expected)).isTrue();
    found.release();
    expected.release();
  }

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
  void aFailedReadDoesNotPoison() {
    syscalls.script("preadv2", -Errno.EIO);
    ByteBuf target = Unpooled.directBuffer(10);
    file.read(0, target, 10, note("read"));
    file.force(note("force"));
    settle();

    assertThat(answers.get(0)).contains("EIO");
    assertThat(answers.get(1)).isEqualTo("force");
    target.release();
  }

  @Test
  void forcesThatWaitShareOne() {
    file.force(note("first"));
    file.force(note("second"));
    file.force(note("third"));
    settle();

    assertThat(answers).containsExactly("first", "second", "third");
    assertThat(syscalls.count("fdatasync")).isEqualTo(2);
  }

  @Test
  void aForceAskedForDuringAnotherIsNotCoveredByIt() {
    syscalls.inForce = () -> file.force(note("second"));
    file.force(note("first"));
    io.remove().run();
    loop.remove().run();

    assertThat(answers).containsExactly("first");
    settle();
    assertThat(answers).containsExactly("first", "second");
    assertThat(syscalls.count("fdatasync")).isEqualTo(2);
  }

  @Test
  void aFailedForcePoisonsForEver() {
    syscalls.script("fdatasync", -Errno.EIO);
    file.force(note("first"));
    file.force(note("second"));
    settle();
    file.force(note("third"));
    settle();

    assertThat(answers).hasSize(3).allMatch(answer -> answer.contains("poisoned"));
    assertThat(answers.get(2)).contains("EIO").contains("restart the relay");
    assertThat(syscalls.count("fdatasync")).isEqualTo(1);
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
  void aFailedWritePoisonsForce() {
    syscalls.script("pwritev2", -Errno.EAGAIN);
    syscalls.script("pwrite", -Errno.EIO);
    write(0, random(4096, 1));
    file.force(note("force"));
    settle();

    assertThat(answers.get(0)).contains("pwrite of " + path).contains("EIO");
    assertThat(answers.get(1)).startsWith("force: ").contains("poisoned");
  }

  @Test
  void aWriteThatFailsDuringAForcePoisonsThatForceToo() {
    file.force(note("force"));
    syscalls.script("pwritev2", -Errno.EIO);
    write(0, random(4096, 1));

    assertThat(answers.get(0)).contains("EIO");
    assertThat(answers.get(1)).contains("poisoned");
  }

  @Test
  void x28NoSpaceAndNoQuotaDoNotPoison() {
    syscalls.script("pwritev2", -Errno.ENOSPC, -Errno.EDQUOT);
    write(0, random(4096, 1));
    write(0, random(4096, 1));
    file.force(note("force"));
    settle();

    assertThat(answers.get(0)).contains("ENOSPC");
    assertThat(answers.get(1)).contains("EDQUOT");
    assertThat(answers.get(2)).isEqualTo("force");
  }

  @Test
  void aHoleIsZeroesAndGivesSpaceBack() throws IOException {
    write(0, random(1 << 20, 1));
    file.force(note("force"));
    settle();
    long before = file.allocated();

    file.zero(4096, 1 << 19, true, note("zero"));
    settle();

    assertThat(before - file.allocated()).isEqualTo(1 << 19);
    holds(4096, Unpooled.wrappedBuffer(new byte[1 << 19]));
    holds(0, random(1 << 20, 1).slice(0, 4096));
  }

  @Test
  void x24x34AllocatedZeroesHaveSpace() {
    file.zero(0, 1 << 20, false, note("zero"));
    settle();

    assertThat(file.allocated()).isGreaterThanOrEqualTo(1 << 20);
    holds(0, Unpooled.wrappedBuffer(new byte[1 << 20]));
  }

  @Test
  void zeroHasAWayOnEachFileSystem() {
    int unsupported = -Errno.EOPNOTSUPP;
    for (boolean punch : new boolean[] {true, false}) {
      for (int missing = 0; missing <= 3; missing++) {
        write(0, random(10_000, 1));
        for (int i = 0; i < missing; i++) {
          syscalls.script("fallocate", unsupported);
        }
        file.zero(100, 9_000, punch, note("zero"));
        settle();
        holds(100, Unpooled.wrappedBuffer(new byte[9_000]));
        ByteBuf whole = random(10_000, 1);
        holds(9_100, whole.slice(9_100, 900));
        syscalls.script("fallocate");
      }
    }
  }

  @Test
  void aFailedZeroIsReported() {
    syscalls.script("fallocate", -Errno.ENOSPC);
    file.zero(0, 4096, false, note("zero"));
    settle();

    assertThat(answers.get(0)).contains("fallocate").contains("ENOSPC");
  }

  private List<String> extents(long offset, long length) {
    List<String> found = new ArrayList<>();
    file.extents(
        offset,
        length,
        (at, size, hole) -> found.add(at + "+" + size + (hole ? " hole" : "")),
        note("extents"));
    assertThat(found).isEmpty();
    settle();
    return found;
  }

  @Test
  void x34TellsHolesFromData() {
    write(1 << 20, random(1 << 16, 1));

    assertThat(extents(0, SIZE))
        .containsExactly(
            "0+1048576 hole", "1048576+65536", "1114112+" + (SIZE - 1114112) + " hole");
    assertThat(extents((1 << 20) + 100, 200)).containsExactly("1048676+200");
  }

  @Test
  void tellsHolesFromDataInAFileOfManyPieces() {
    int pieces = 5 * DiskBlockFile.FIRST_EXTENTS;
    for (int i = 0; i < pieces; i++) {
      write(2L * i * 4096, random(4096, i));
    }

    List<String> found = extents(0, 2L * pieces * 4096);

    assertThat(found).hasSize(2 * pieces).doesNotHaveDuplicates();
    assertThat(found).startsWith("0+4096", "4096+4096 hole", "8192+4096");
    assertThat(found).endsWith((2L * pieces - 1) * 4096 + "+4096 hole");
  }

  @Test
  void looksForNoMoreExtentsThanTheVisitorWants() {
    for (int i = 0; i < 5 * DiskBlockFile.FIRST_EXTENTS; i++) {
      write(2L * i * 4096, random(4096, i));
    }
    long before = syscalls.count("lseek");

    file.extents(0, SIZE, (at, length, hole) -> false, note("extents"));
    settle();

    assertThat(answers).endsWith("extents");
    assertThat(syscalls.count("lseek") - before).isBetween(1L, 2L * DiskBlockFile.FIRST_EXTENTS);
  }

  @Test
  void allIsDataWhereHolesAreUnknown() {
    syscalls.script("lseek", -Errno.EINVAL, -Errno.EINVAL);

    assertThat(extents(0, SIZE)).containsExactly("0+" + SIZE);
  }

  @Test
  void anErrorWhileLookingForHolesIsReported() {
    syscalls.script("lseek", -Errno.EIO);

    assertThat(extents(0, SIZE)).isEmpty();
    assertThat(answers.get(0)).contains("lseek").contains("EIO");
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
