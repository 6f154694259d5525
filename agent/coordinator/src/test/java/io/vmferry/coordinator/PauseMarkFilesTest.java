// SPDX-License-Identifier: Apache-2.0
package io.vmferry.coordinator;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.UUID;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class PauseMarkFilesTest {
  private static final UUID ONE = new UUID(1, 2);
  private static final UUID OTHER = new UUID(3, 4);

  @TempDir Path run;
  private Path directory;
  private PauseMarkFiles marks;

  @BeforeEach
  void make() {
    directory = run.resolve("paused-domains");
    marks = new PauseMarkFiles(directory);
  }

  @Test
  void areReadByTheNextAgent() throws IOException {
    marks.add(ONE);
    marks.add(OTHER);
    marks.add(ONE);
    marks.remove(OTHER);

    assertThat(new PauseMarkFiles(directory).read()).containsExactly(ONE);
  }

  @Test
  void noDirectoryIsNoMark() throws IOException {
    assertThat(marks.read()).isEmpty();
    marks.remove(ONE);
  }

  @Test
  void foreignFilesAreIgnored() throws IOException {
    marks.add(ONE);
    Files.createFile(directory.resolve("core"));

    assertThat(marks.read()).containsExactly(ONE);
  }

  @Test
  void saysThatItCannotMark() throws IOException {
    Files.createFile(directory);

    assertThatThrownBy(() -> marks.add(ONE)).isInstanceOf(IOException.class);
  }
}
