// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.store;

import static org.assertj.core.api.Assertions.assertThat;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.Unpooled;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;

/** The simulator's disk must itself be right. */
final class MemoryBlockFileTest {

  private static final int SIZE = 64 * 1024;

  private final MemoryBlockFile file = new MemoryBlockFile(SIZE);
  private final List<String> answers = new ArrayList<>();

  private BlockFile.Done note(String name) {
    return error -> answers.add(error == null ? name : name + " failed");
  }

  private static ByteBuf bytes(int value, int length) {
    byte[] all = new byte[length];
    Arrays.fill(all, (byte) value);
    return Unpooled.wrappedBuffer(all);
  }

  @Test
  void aCrashLosesWhatWasNotForced() {
    file.write(0, bytes(1, 4096), note("a"));
    file.force(note("force"));
    file.write(0, bytes(2, 4096), note("b"));

    file.crash(LossModel.everything());

    assertThat(file.content()[0]).isEqualTo((byte) 1);
    assertThat(answers).containsExactly("a", "force", "b");
  }

  @Test
  void whatACrashBringsBackIsNoHole() {
    file.write(0, bytes(1, 4096), note("a"));
    file.force(note("force"));
    file.zero(0, 4096, true, note("b"));
    assertThat(file.allocated()).isZero();

    file.crash(LossModel.everything());

    assertThat(file.allocated()).isEqualTo(4096);
  }

  @Test
  void aForceCoversOnlyWhatWasCompletedWhenItWasAsked() {
    file.hold();
    file.write(0, bytes(1, 4096), note("a"));
    file.force(note("force"));
    file.release(0);
    file.release(0);

    file.crash(LossModel.everything());

    assertThat(file.content()[0]).isZero();
  }

  @Test
  void aTornWriteKeepsWholeSectors() {
    file.write(0, bytes(1, 1024), note("a"));

    file.crash(LossModel.single(0, LossModel.Fate.TORN_TAIL));

    assertThat(file.content()[511]).isZero();
    assertThat(file.content()[512]).isEqualTo((byte) 1);
  }

  @Test
  void releasesInAnyOrder() {
    file.hold();
    file.write(0, bytes(1, 1), note("a"));
    file.write(0, bytes(2, 1), note("b"));
    file.release(1);
    file.flow();

    assertThat(answers).containsExactly("b", "a");
    assertThat(file.content()[0]).isEqualTo((byte) 1);
  }

  @Test
  void aFailedWritePoisonsForceUnlessOnlySpaceIsMissing() {
    file.failNext(MemoryBlockFile.Kind.WRITE, new ErrnoException(Errno.ENOSPC, "pwrite", "x"));
    file.write(0, bytes(1, 1), note("full"));
    file.force(note("force"));
    file.failNext(MemoryBlockFile.Kind.WRITE, new IOException("bad sector"));
    file.write(0, bytes(1, 1), note("bad"));
    file.force(note("again"));

    assertThat(answers).containsExactly("full failed", "force", "bad failed", "again failed");
  }

  @Test
  void knowsItsHoles() {
    file.write(8192, bytes(1, 100), note("a"));
    file.zero(16384, 4096, false, note("b"));
    file.zero(8192, 4096, true, note("c"));
    List<String> extents = new ArrayList<>();

    file.extents(
        4096,
        20480,
        (offset, length, hole) -> extents.add(offset + "+" + length + (hole ? " hole" : "")),
        note("d"));

    assertThat(extents).containsExactly("4096+12288 hole", "16384+4096", "20480+4096 hole");
    assertThat(file.allocated()).isEqualTo(4096);
  }
}
