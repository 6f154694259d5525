// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.store;

import static org.assertj.core.api.Assertions.assertThat;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.Unpooled;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.io.TempDir;

/**
 * A file whose event loop and I/O executor are queues that the test runs by hand, so nothing here
 * races.
 */
abstract class DiskBlockFileFixture {
  /** Odd on purpose: neither whole blocks nor whole sectors. */
  static final int SIZE = 3 * 1024 * 1024 + 777;

  @TempDir Path directory;

  final FakeSyscalls syscalls = new FakeSyscalls();
  final Deque<Runnable> loop = new ArrayDeque<>();
  final Deque<Runnable> io = new ArrayDeque<>();
  final List<String> answers = new ArrayList<>();
  Path path;
  DiskBlockFile file;
  long now = 1_000_000_000L;

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

  void settle() {
    while (!io.isEmpty() || !loop.isEmpty()) {
      (io.isEmpty() ? loop : io).remove().run();
    }
  }

  BlockFile.Done note(String name) {
    return error -> answers.add(error == null ? name : name + ": " + error.getMessage());
  }

  static ByteBuf random(int length, long seed) {
    byte[] bytes = new byte[length];
    new Random(seed).nextBytes(bytes);
    return Unpooled.directBuffer(Math.max(1, length)).writeBytes(bytes);
  }

  void write(long offset, ByteBuf bytes) {
    file.write(offset, bytes, note("write"));
    settle();
    bytes.release();
  }

  void holds(long offset, ByteBuf expected) {
    ByteBuf found = Unpooled.directBuffer(1);
    file.read(offset, found, expected.readableBytes(), note("read"));
    settle();
    assertThat(answers.get(answers.size() - 1)).isEqualTo("read");
    assertThat(found.equals(expected)).isTrue();
    found.release();
    expected.release();
  }
}
