// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.map;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.vmferry.api.Epoch;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Path;
import java.util.UUID;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A tmpfs of 16 KiB, which only root can mount. */
final class FullTmpfsTest {

  private static final int CHUNKS = 8;
  private static final long BLOCKS = (long) CHUNKS * ChunkedBlockMap.CHUNK_BLOCKS;

  @TempDir Path directory;

  private boolean mounted;

  @BeforeEach
  void mount() throws Exception {
    mounted = run("mount", "-t", "tmpfs", "-o", "size=16k", "none", directory.toString()) == 0;
    Assumptions.assumeTrue(mounted, "only root may mount");
  }

  @AfterEach
  void unmount() throws Exception {
    if (mounted) {
      assertThat(run("umount", directory.toString())).isZero();
    }
  }

  private static int run(String... command) throws IOException, InterruptedException {
    return new ProcessBuilder(command)
        .redirectErrorStream(true)
        .redirectOutput(ProcessBuilder.Redirect.DISCARD)
        .start()
        .waitFor();
  }

  @Test
  void isAnExceptionAndTheMapStaysRight() throws IOException {
    MappedBlockMap.Identity identity =
        new MappedBlockMap.Identity(new UUID(1, 2), new Epoch(1, "a"), new UUID(3, 4), BLOCKS);
    try (MappedBlockMap map =
        MappedBlockMap.create(directory.resolve("map"), identity, HeapBlockMap.allClear(BLOCKS))) {
      // Header, last chunk and two more fit.
      assertThatThrownBy(() -> map.set(100, BLOCKS))
          .isInstanceOf(UncheckedIOException.class)
          .hasMessageContaining("free space in " + directory);

      assertThat(map.cardinality()).isEqualTo(2L * ChunkedBlockMap.CHUNK_BLOCKS - 100);
      assertThat(map.nextClear(100)).isEqualTo(2L * ChunkedBlockMap.CHUNK_BLOCKS);
      assertThat(map.set(0, 50)).isEqualTo(50);
    }
  }

  @Test
  void creationFailsWithoutATrace() {
    MappedBlockMap.Identity identity =
        new MappedBlockMap.Identity(new UUID(1, 2), new Epoch(1, "a"), new UUID(3, 4), BLOCKS);
    HeapBlockMap half = HeapBlockMap.allClear(BLOCKS);
    half.set(0, BLOCKS / 2);

    assertThatThrownBy(() -> MappedBlockMap.create(directory.resolve("map"), identity, half))
        .isInstanceOf(IOException.class);
    assertThat(directory.toFile().list()).isEmpty();
  }
}
