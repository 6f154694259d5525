// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.store;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.netty.buffer.ByteBuf;
import io.netty.channel.FileRegion;
import java.io.ByteArrayOutputStream;
import java.io.EOFException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.Channels;
import java.nio.channels.WritableByteChannel;
import org.junit.jupiter.api.Test;

/** Ranges in the page cache that are sent without a copy; what sendfile sends is noted. */
final class CachedRegionTest extends DiskBlockFileFixture {
  private static final int SOCKET = 99;
  private static final int LENGTH = 256 << 10;
  private static final long OFFSET = 4096 + 512;

  /** Takes what is not sent from the file. */
  private final ByteArrayOutputStream taken = new ByteArrayOutputStream();

  private final WritableByteChannel channel = Channels.newChannel(taken);

  private FileRegion region() {
    write(0, random(2 * LENGTH, 1));
    syscalls.calls.clear();
    FileRegion region = file.cached(OFFSET, LENGTH, SOCKET);
    assertThat(region.count()).isEqualTo(LENGTH);
    assertThat(region.position()).isEqualTo(OFFSET);
    return region;
  }

  private static byte[] content() {
    ByteBuf all = random(2 * LENGTH, 1);
    byte[] bytes = new byte[LENGTH];
    all.getBytes((int) OFFSET, bytes);
    all.release();
    return bytes;
  }

  @Test
  void isSentFromTheFileInOneCall() throws IOException {
    FileRegion region = region();

    assertThat(region.transferTo(channel, 0)).isEqualTo(LENGTH);

    assertThat(region.transferred()).isEqualTo(LENGTH);
    region.release();
    assertThat(syscalls.sent.toByteArray()).isEqualTo(content());
    assertThat(syscalls.calls).containsExactly("mmap", "mincore", "sendfile");
    assertThat(taken.size()).isZero();
  }

  @Test
  void interruptedAndShortCallsAreContinued() throws IOException {
    FileRegion region = region();
    syscalls.script("sendfile", -Errno.EINTR, 1, 70_000, -Errno.EINTR);

    assertThat(region.transferTo(channel, 0)).isEqualTo(LENGTH);

    region.release();
    assertThat(syscalls.sent.toByteArray()).isEqualTo(content());
    assertThat(taken.size()).isZero();
  }

  @Test
  void whatTheSocketHasNoRoomForIsKeptInMemory() throws IOException {
    FileRegion region = region();
    syscalls.script("sendfile", 100_000, -Errno.EAGAIN);
    assertThat(region.transferTo(channel, 0)).isEqualTo(100_000);
    assertThat(region.transferred()).isEqualTo(100_000);
    write(0, random(2 * LENGTH, 2));
    syscalls.calls.clear();

    long second = region.transferTo(new Narrow(1000), 100_000);
    long third = region.transferTo(channel, 101_000);

    assertThat(second).isEqualTo(1000);
    assertThat(third).isEqualTo(LENGTH - 101_000);
    assertThat(region.transferred()).isEqualTo(LENGTH);
    assertThat(syscalls.calls).isEmpty();
    region.release();
    syscalls.sent.writeBytes(taken.toByteArray());
    assertThat(syscalls.sent.toByteArray()).isEqualTo(content());
  }

  /** Takes some bytes at a time, as a socket does. */
  private final class Narrow implements WritableByteChannel {
    private final int most;

    Narrow(int most) {
      this.most = most;
    }

    @Override
    public int write(ByteBuffer source) {
      byte[] some = new byte[Math.min(most, source.remaining())];
      source.get(some);
      taken.writeBytes(some);
      return some.length;
    }

    @Override
    public boolean isOpen() {
      return true;
    }

    @Override
    public void close() {}
  }

  @Test
  void aKernelThatCannotIsAskedOnce() throws IOException {
    FileRegion region = region();
    syscalls.script("sendfile", -Errno.EINVAL);

    assertThat(region.transferTo(channel, 0)).isZero();
    assertThat(region.transferTo(channel, 0)).isEqualTo(LENGTH);

    region.release();
    assertThat(taken.toByteArray()).isEqualTo(content());
    assertThat(file.cached(OFFSET, LENGTH, SOCKET)).isNull();
  }

  @Test
  void aSocketThatFailsIsAnError() {
    FileRegion region = region();
    syscalls.script("sendfile", 1000, -Errno.EIO);

    assertThatThrownBy(() -> region.transferTo(channel, 0))
        .isInstanceOf(ErrnoException.class)
        .hasMessageContaining("sendfile");
    region.release();
  }

  @Test
  void aFileThatWasCutIsAnError() {
    FileRegion region = region();
    syscalls.script("sendfile", 1000, 0);

    assertThatThrownBy(() -> region.transferTo(channel, 0))
        .isInstanceOf(EOFException.class)
        .hasMessage("The file ends at byte " + (OFFSET + 1000) + ", inside a reply");
    region.release();
  }

  @Test
  void theFileStaysOpenUntilItIsSent() throws IOException {
    FileRegion region = region();
    file.close();
    assertThat(syscalls.count("close")).isZero();
    assertThat(file.cached(OFFSET, LENGTH, SOCKET)).isNull();

    region.transferTo(channel, 0);
    region.release();

    assertThat(syscalls.calls).endsWith("munmap", "close");
    assertThat(syscalls.sent.toByteArray()).isEqualTo(content());
  }

  @Test
  void oneThatIsNeverSentGivesTheFileBackToo() {
    FileRegion region = region();
    file.close();

    region.release();

    assertThat(syscalls.calls).endsWith("munmap", "close");
  }

  @Test
  void aPageThatIsNotThereHasToBeRead() {
    write(0, random(LENGTH, 1));
    // Behind it is a hole that nobody has read yet.
    assertThat(file.cached(4096, LENGTH, SOCKET)).isNull();
    FileRegion here = file.cached(0, LENGTH, SOCKET);
    assertThat(here).isNotNull();
    here.release();
  }

  @Test
  void thereIsNoneWithoutSocketAndNoneThatHoldsTheLoop() {
    write(0, random(DiskBlockFile.MAX_INLINE_BYTES + 1, 1));

    assertThat(file.cached(0, LENGTH, -1)).isNull();
    assertThat(file.cached(0, DiskBlockFile.MAX_INLINE_BYTES + 1, SOCKET)).isNull();

    FileRegion largest = file.cached(0, DiskBlockFile.MAX_INLINE_BYTES, SOCKET);
    assertThat(largest).isNotNull();
    largest.release();
  }

  @Test
  void aKernelThatDoesNotMapIsAskedOnce() {
    write(0, random(LENGTH, 1));
    syscalls.script("mmap", -Errno.EINVAL);

    assertThat(file.cached(0, LENGTH, SOCKET)).isNull();
    assertThat(file.cached(0, LENGTH, SOCKET)).isNull();

    assertThat(syscalls.count("mmap")).isEqualTo(1);
    assertThat(syscalls.count("mincore")).isZero();
    file.close();
    assertThat(syscalls.count("munmap")).isZero();
  }

  @Test
  void aQuestionThatFailsIsNoAnswer() {
    write(0, random(LENGTH, 1));
    syscalls.script("mincore", -Errno.EAGAIN);

    assertThat(file.cached(0, LENGTH, SOCKET)).isNull();
    FileRegion region = file.cached(0, LENGTH, SOCKET);
    assertThat(region).isNotNull();
    region.release();
  }

  @Test
  void aKernelThatRefusesTheQuestionIsAskedOnce() {
    write(0, random(LENGTH, 1));
    syscalls.script("mincore", -Errno.EPERM);

    assertThat(file.cached(0, LENGTH, SOCKET)).isNull();
    assertThat(file.cached(0, LENGTH, SOCKET)).isNull();

    assertThat(syscalls.calls).containsSubsequence("mmap", "mincore", "munmap");
    assertThat(syscalls.count("mincore")).isEqualTo(1);
    assertThat(syscalls.count("munmap")).isEqualTo(1);
  }

  @Test
  void aFileThatHasGrownIsMappedAnew() throws IOException {
    region().release();
    DiskBlockFile.grow(path, SIZE, 2 * SIZE);
    file.grown(2 * SIZE);
    write(SIZE, random(LENGTH, 3));

    FileRegion region = file.cached(SIZE, LENGTH, SOCKET);

    assertThat(region).isNotNull();
    region.transferTo(channel, 0);
    region.release();
    ByteBuf expected = random(LENGTH, 3);
    byte[] bytes = new byte[LENGTH];
    expected.getBytes(0, bytes);
    expected.release();
    assertThat(syscalls.sent.toByteArray()).isEqualTo(bytes);
    assertThat(syscalls.count("mmap")).isEqualTo(2);
    assertThat(syscalls.count("munmap")).isEqualTo(1);
  }
}
