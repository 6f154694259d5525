// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.store;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.vmferry.api.Epoch;
import io.vmferry.relay.map.HeapBlockMap;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.UUID;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The durable files on a real file system. */
final class DiskFileOpsTest {

  private static final UUID ID = new UUID(1, 2);

  @TempDir Path directory;

  private final DiskFileOps ops = new DiskFileOps();

  @Test
  void writesAndReadsADurableFile() throws IOException {
    DurableFile file = new DurableFile(ops, directory.resolve("state"), "volume", 4096);
    assertThat(file.read()).isEmpty();
    for (int i = 1; i <= 2; i++) {
      byte[] payload = ("payload " + i).getBytes(UTF_8);
      file.write(new DurableFile.Content(ID, new Epoch(i, "a"), payload));
    }

    assertThat(file.read().orElseThrow().payload()).isEqualTo("payload 2".getBytes(UTF_8));
    assertThat(directory.toFile().list()).containsExactly("state");
    file.delete();
    assertThat(directory.toFile().list()).isEmpty();
  }

  @Test
  void keepsAJournal() throws IOException {
    HeapBlockMap some = HeapBlockMap.allClear(1000);
    some.set(5, 50);
    HeldJournal journal =
        HeldJournal.create(ops, directory, ID, new Epoch(1, "a"), HeapBlockMap.allClear(1000));
    journal.append(some);
    journal.close();

    HeldJournal again = HeldJournal.open(ops, directory, ID, 1000).orElseThrow();

    assertThat(again.held().cardinality()).isEqualTo(45);
    again.delete();
    assertThat(directory.toFile().list()).isEmpty();
  }

  @Test
  void refusesToReadMoreThanTheLimit() throws IOException {
    Path file = directory.resolve("large");
    Files.write(file, new byte[11]);

    assertThatThrownBy(() -> ops.read(file, 10)).isInstanceOf(BrokenFileException.class);
    assertThat(ops.read(file, 11)).hasSize(11);
  }

  @Test
  void tellsAMissingFile() {
    assertThatThrownBy(() -> ops.read(directory.resolve("none"), 10))
        .isInstanceOf(NoSuchFileException.class);
  }

  @Test
  void aMissingDirectoryCannotBeForced() {
    assertThatThrownBy(() -> ops.forceDirectory(directory.resolve("none")))
        .isInstanceOf(ErrnoException.class);
  }

  @Test
  void createEmptiesAnExistingFile() throws IOException {
    Path file = directory.resolve("file");
    Files.write(file, new byte[11]);
    try (FileOps.Output out = ops.create(file)) {
      out.write(ByteBuffer.allocate(0));
      out.write(ByteBuffer.wrap(new byte[] {1}));
      out.write(ByteBuffer.wrap(new byte[] {2, 3}));
    }

    assertThat(Files.readAllBytes(file)).containsExactly(1, 2, 3);
  }

  @Test
  void overwritesOnlyWhatIsThere() throws IOException {
    Path file = directory.resolve("file");
    try (FileOps.Output out = ops.create(file)) {
      out.write(ByteBuffer.wrap(new byte[] {1, 2, 3, 4}));
      out.overwrite(1, ByteBuffer.wrap(new byte[] {7, 8}));
      assertThatThrownBy(() -> out.overwrite(3, ByteBuffer.wrap(new byte[] {9, 9})))
          .isInstanceOf(IllegalArgumentException.class);
      out.write(ByteBuffer.wrap(new byte[] {5}));
    }

    assertThat(Files.readAllBytes(file)).containsExactly(1, 7, 8, 4, 5);
  }
}
