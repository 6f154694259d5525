// SPDX-License-Identifier: Apache-2.0
package io.vmferry.config;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.time.Duration;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ConfigTest {
  @TempDir Path directory;

  @Test
  void onlyTheNodeHasNoDefault() throws ConfigException {
    Config config = Config.parse("test", "node: host-a");
    assertThat(config.listen()).isEqualTo(new HostPort("0.0.0.0", 7820));
    assertThat(config.peers()).isEmpty();
    assertThat(config.tls().ca()).isEqualTo(Path.of("/etc/vmferry/pki/ca.crt"));
    assertThat(config.tls().certificate()).isEqualTo(Path.of("/etc/vmferry/pki/node.crt"));
    assertThat(config.tls().key()).isEqualTo(Path.of("/etc/vmferry/pki/node.key"));
    assertThat(config.paths().nbdSocketGroup()).isEmpty();
    assertThat(config.copy().rateLimit()).isEmpty();
    assertThat(config.copy().connections()).isEqualTo(4);
    assertThat(config.guest().pauseAfter()).contains(Duration.ofSeconds(20));
    assertThat(config.libvirtUri()).isEqualTo("qemu:///system");
    assertThat(config.logLevel()).isEqualTo(LogLevel.INFO);
  }

  @Test
  void pathsAreDerived() throws ConfigException {
    Config.Paths paths = Config.parse("test", "node: host-a").paths();
    assertThat(paths.nbdSocket()).isEqualTo(Path.of("/run/vmferry/nbd.sock"));
    assertThat(paths.relaySocket()).isEqualTo(Path.of("/run/vmferry/relay.sock"));
    assertThat(paths.agentSocket()).isEqualTo(Path.of("/run/vmferry/agent.sock"));
    assertThat(paths.volumes()).isEqualTo(Path.of("/var/lib/vmferry/volumes"));
  }

  @Test
  void aRateLimitOfNoneIsNoLimit() throws ConfigException {
    Config config = Config.parse("test", "node: host-a\ncopy: {rate-limit: none}");
    assertThat(config.copy().rateLimit()).isEmpty();
  }

  @Test
  void aMissingFileIsNotAConfigurationProblem() {
    assertThatThrownBy(() -> Config.load(directory.resolve("none.yaml")))
        .isInstanceOf(NoSuchFileException.class);
  }

  @Test
  void aHugeFileIsRefusedUnread() throws IOException {
    Path file = Files.writeString(directory.resolve("huge.yaml"), "#".repeat((1 << 20) + 1));
    assertThatThrownBy(() -> Config.load(file))
        .isInstanceOf(IOException.class)
        .hasMessageContaining("1 MiB");
  }

  @Test
  void deepNestingIsRefused() {
    assertThatThrownBy(() -> Config.parse("test", "node: " + "{a: ".repeat(500)))
        .isInstanceOf(ConfigException.class)
        .hasMessageContaining("levels");
  }

  @Test
  void preCopyIsOneOfThree() throws ConfigException {
    assertThat(Config.parse("test", "node: a").copy().preCopy()).isEqualTo(PreCopyMode.NONE);
    for (PreCopyMode mode : PreCopyMode.values()) {
      Config config = Config.parse("test", "node: a\ncopy: {pre-copy: " + mode + "}");
      assertThat(config.copy().preCopy()).isEqualTo(mode);
    }
  }
}
