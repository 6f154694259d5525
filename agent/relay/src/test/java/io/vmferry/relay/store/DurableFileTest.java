// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.store;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.vmferry.api.Epoch;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.UUID;
import org.junit.jupiter.api.Test;

final class DurableFileTest {

  private static final Path PATH = Path.of("/volumes/web/state");
  private static final UUID ID = UUID.fromString("5f0c3f6e-6a1e-4c0e-9a3b-0123456789ab");
  private static final int MAX = 4096;

  private final MemoryFileOps ops = new MemoryFileOps();
  private final DurableFile file = new DurableFile(ops, PATH, "volume", MAX);

  private static DurableFile.Content content(long epoch, String payload) {
    return new DurableFile.Content(ID, new Epoch(epoch, "alpha"), payload.getBytes(UTF_8));
  }

  @Test
  void readsWhatWasWritten() throws IOException {
    file.write(content(7, "{\"state\":\"SERVING\"}"));

    DurableFile.Content read = file.read().orElseThrow();

    assertThat(read.uuid()).isEqualTo(ID);
    assertThat(read.epoch()).isEqualTo(new Epoch(7, "alpha"));
    assertThat(new String(read.payload(), UTF_8)).isEqualTo("{\"state\":\"SERVING\"}");
  }

  @Test
  void startsWithALineForPeople() throws IOException {
    file.write(content(7, "{}"));

    assertThat(new String(ops.content(PATH), UTF_8))
        .matches(
            "VMFERRY volume version=1 uuid="
                + ID
                + " epoch=7@alpha length=2"
                + " crc32c=[0-9a-f]{8}\n\\{}");
  }

  @Test
  void missingIsNotBroken() throws IOException {
    assertThat(file.read()).isEmpty();
  }

  @Test
  void detectsEachFlippedBit() throws IOException {
    file.write(content(7, "{\"state\":\"SERVING\"}"));
    byte[] sound = ops.content(PATH);

    for (int bit = 0; bit < sound.length * 8; bit++) {
      byte[] flipped = sound.clone();
      flipped[bit / 8] ^= (byte) (1 << bit % 8);
      ops.put(PATH, flipped);
      assertThatThrownBy(file::read).as("bit " + bit).isInstanceOf(BrokenFileException.class);
    }
  }

  @Test
  void detectsEachCut() throws IOException {
    file.write(content(7, "{\"state\":\"SERVING\"}"));
    byte[] sound = ops.content(PATH);

    for (int length = 0; length < sound.length; length++) {
      ops.put(PATH, Arrays.copyOf(sound, length));
      assertThatThrownBy(file::read).as("cut " + length).isInstanceOf(BrokenFileException.class);
    }
  }

  @Test
  void detectsBytesBehindTheEnd() throws IOException {
    file.write(content(7, "{}"));
    byte[] sound = ops.content(PATH);
    ops.put(PATH, Arrays.copyOf(sound, sound.length + 1));

    assertThatThrownBy(file::read).hasMessageContaining("holds 3 bytes");
  }

  @Test
  void namesTheFileTheReasonAndTheNextStep() {
    ops.put(PATH, "nonsense\n".getBytes(UTF_8));

    assertThatThrownBy(file::read)
        .hasMessageContaining(PATH.toString())
        .hasMessageContaining("first line")
        .hasMessageContaining("delete the replica");
  }

  @Test
  void refusesAnotherVersion() throws IOException {
    file.write(content(7, "{}"));
    String newer = new String(ops.content(PATH), UTF_8).replace("version=1", "version=2");
    ops.put(PATH, newer.getBytes(UTF_8));

    assertThatThrownBy(file::read).hasMessageContaining("version 2");
  }

  @Test
  void refusesAnotherKind() throws IOException {
    new DurableFile(ops, PATH, "held", MAX).write(content(7, "{}"));

    assertThatThrownBy(file::read).hasMessageContaining("kind held where volume must be");
  }

  @Test
  void refusesAnOwnerThatWouldBreakTheLine() {
    Epoch epoch = new Epoch(1, "a b");

    assertThatThrownBy(() -> new DurableFile.Content(ID, epoch, new byte[0]))
        .isInstanceOf(IllegalArgumentException.class);
  }

  @Test
  void refusesTooLongAPayload() {
    assertThatThrownBy(() -> file.write(content(1, "x".repeat(MAX + 1))))
        .isInstanceOf(IllegalArgumentException.class);
    assertThat(ops.operations()).isZero();
  }

  @Test
  void removesWhatAnInterruptedWriteLeft() throws IOException {
    Path temporary = Path.of("/volumes/web/state.tmp");
    ops.put(temporary, new byte[3]);

    file.read();

    assertThatThrownBy(() -> ops.content(temporary)).isInstanceOf(IOException.class);
  }

  @Test
  void deletesDurably() throws IOException {
    file.write(content(1, "{}"));
    file.delete();
    ops.crash(LossModel.everything());

    assertThat(file.read()).isEmpty();
  }

  @Test
  void eachFailedOperationLeavesTheOldOrTheNew() throws IOException {
    for (int n = 0; ; n++) {
      MemoryFileOps disk = new MemoryFileOps();
      DurableFile first = new DurableFile(disk, PATH, "volume", MAX);
      first.write(content(1, "old"));
      int before = disk.operations();
      disk.failAt(before + n, new IOException("bad sector"), false);
      boolean failed = false;
      try {
        first.write(content(2, "new"));
      } catch (IOException e) {
        failed = true;
      }
      if (!failed && disk.operations() <= before + n) {
        assertThat(n).isEqualTo(7); // create, write twice, force, close, rename, force directory
        return;
      }
      assertThat(failed).as("operation %d swallowed its error: %s", n, disk.log()).isTrue();
      disk.crash(LossModel.nothing());
      String read =
          new String(
              new DurableFile(disk, PATH, "volume", MAX).read().orElseThrow().payload(), UTF_8);
      assertThat(read).isIn("old", "new");
    }
  }

  @Test
  void aFailedForcePoisons() throws IOException {
    ops.failAt(3, new IOException("bad sector"), false);

    assertThatThrownBy(() -> file.write(content(1, "{}"))).hasMessageContaining("bad sector");
    assertThatThrownBy(() -> file.write(content(1, "{}"))).hasMessageContaining("bad sector");
    assertThatThrownBy(file::read).hasMessageContaining("restart the relay");
  }

  @Test
  void aFailedWriteMayBeRepeated() throws IOException {
    ops.failAt(1, new ErrnoException(Errno.ENOSPC, "pwrite", PATH.toString()), false);

    assertThatThrownBy(() -> file.write(content(1, "{}"))).hasMessageContaining("ENOSPC");
    file.write(content(1, "{}"));

    assertThat(file.read()).isPresent();
  }
}
