// SPDX-License-Identifier: Apache-2.0
package io.vmferry.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assumptions.assumeThat;
import static org.awaitility.Awaitility.await;

import io.vmferry.cli.base.Surroundings;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** Import and export with the real qemu-img, and nbdkit in the place of the relay's NBD server. */
class RealQemuImgTest extends CliFixture {
  private static final int SIZE = 3 << 20;

  private Process nbdkit;

  @BeforeEach
  void serve() throws IOException {
    for (String tool : new String[] {"qemu-img", "nbdkit"}) {
      assumeThat(Path.of("/usr/bin", tool)).exists();
    }
    startRelay();
    Path socket = directory.resolve("run/nbd.sock");
    nbdkit =
        new ProcessBuilder("nbdkit", "-f", "-U", socket.toString(), "memory", "" + SIZE)
            .redirectErrorStream(true)
            .redirectOutput(directory.resolve("nbdkit.log").toFile())
            .start();
    await().atMost(Duration.ofSeconds(10)).until(() -> Files.exists(socket));
    processes = Surroundings.real().processes();
  }

  @AfterEach
  void stop() throws InterruptedException {
    if (nbdkit != null) {
      nbdkit.destroyForcibly().waitFor();
    }
  }

  @Test
  void whatIsImportedIsExported() throws IOException {
    byte[] content = new byte[SIZE];
    new Random(1).nextBytes(content);
    // A hole in the middle, as every disk has.
    Arrays.fill(content, 1 << 20, 2 << 20, (byte) 0);
    Path image = Files.write(directory.resolve("in.img"), content);
    assertThat(run("volume", "import", "db", image.toString(), "--format", "raw"))
        .isEqualTo(new Outcome(0, "", ""));
    assertThat(node.volumes.get("db").size()).isEqualTo(SIZE);
    Path copy = directory.resolve("out.img");
    assertThat(run("volume", "export", "db", copy.toString())).isEqualTo(new Outcome(0, "", ""));
    assertThat(copy).hasBinaryContent(content);
  }

  @Test
  void aBrokenImageIsRefusedInQemusWords() throws IOException {
    Path image = Files.writeString(directory.resolve("in.img"), "not a qcow2");
    Outcome outcome = run("volume", "import", "db", image.toString(), "--format", "qcow2");
    assertThat(outcome.exit()).isEqualTo(1);
    assertThat(outcome.err()).contains("can't read the image " + image + ": ", "qcow2");
    assertThat(node.volumes).isEmpty();
  }
}
