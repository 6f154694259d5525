// SPDX-License-Identifier: Apache-2.0
package io.vmferry.config;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** The files in config/ are documentation, so they are held to what they say. */
class ConfigSamplesTest {
  private static final Path CONFIG = Path.of("../../config");
  private static final String EXPECT = "# expect: ";

  static List<Path> valid() throws IOException {
    return filesIn(CONFIG.resolve("samples/valid"));
  }

  static List<Path> invalid() throws IOException {
    return filesIn(CONFIG.resolve("samples/invalid"));
  }

  private static List<Path> filesIn(Path directory) throws IOException {
    try (Stream<Path> files = Files.list(directory)) {
      return files.sorted().toList();
    }
  }

  @ParameterizedTest
  @MethodSource("valid")
  void validSamplesLoad(Path sample) {
    assertThatCode(() -> Config.load(sample)).doesNotThrowAnyException();
  }

  @ParameterizedTest
  @MethodSource("invalid")
  void invalidSamplesAreRefusedForTheReasonsTheyName(Path sample) throws IOException {
    List<String> expected =
        Files.readAllLines(sample).stream()
            .filter(line -> line.startsWith(EXPECT))
            .map(line -> line.substring(EXPECT.length()))
            .toList();
    ConfigException refusal =
        catchThrowableOfType(ConfigException.class, () -> Config.load(sample));
    assertThat(refusal).isNotNull();
    assertThat(refusal.problems()).extracting(ConfigProblem::toString).isEqualTo(expected);
    assertThat(refusal.getMessage()).contains(sample.toString()).contains(expected);
  }

  @Test
  void theShippedFileOnlyLacksTheNodesName() {
    ConfigException refusal =
        catchThrowableOfType(
            ConfigException.class, () -> Config.load(CONFIG.resolve("vmferry.yaml")));
    assertThat(refusal.problems()).extracting(ConfigProblem::key).containsExactly("node");
  }

  @Test
  void theShippedFileShowsTheDefaults() throws IOException, ConfigException {
    Config defaults = Config.parse("test", "node: host-a");
    Config shown = Config.parse("vmferry.yaml", uncommented());
    assertThat(shown.peers()).containsOnlyKeys("host-b", "host-c");
    assertThat(shown.paths().nbdSocketGroup()).contains("kvm");
    Config.Paths paths =
        new Config.Paths(
            shown.paths().run(), shown.paths().state(), defaults.paths().nbdSocketGroup());
    Config withoutExamples =
        new Config(
            shown.node(),
            shown.listen(),
            defaults.peers(),
            shown.tls(),
            paths,
            shown.copy(),
            shown.guest(),
            shown.retention(),
            shown.metrics(),
            shown.libvirtUri(),
            shown.logLevel());
    assertThat(withoutExamples).isEqualTo(defaults);
  }

  @Test
  void theShippedFileAndTheSampleHaveEveryKey() throws IOException {
    Set<String> keys = ConfigKeys.all();
    assertThat(keysOf(uncommented())).containsAll(keys);
    assertThat(keysOf(Files.readString(CONFIG.resolve("samples/valid/all-keys.yaml"))))
        .containsAll(keys);
  }

  @Test
  void oneSampleHasEachKeyWrongAndIsToldAllOfThemAtOnce() {
    Path sample = CONFIG.resolve("samples/invalid/all-wrong.yaml");
    ConfigException refusal =
        catchThrowableOfType(ConfigException.class, () -> Config.load(sample));
    assertThat(
            refusal.problems().stream()
                .map(problem -> problem.key().replaceAll("^(peers).*", "$1")))
        .containsAll(ConfigKeys.all());
  }

  @Test
  void theSampleWithEveryKeyHasNoDefault() throws IOException, ConfigException {
    Config all = Config.load(CONFIG.resolve("samples/valid/all-keys.yaml"));
    Config defaults = Config.parse("test", "node: host-a");
    assertThat(all.node()).isEqualTo("host-a.example.net");
    assertThat(all.listen()).isEqualTo(new HostPort("2001:db8::a", 7821));
    assertThat(all.peers()).containsEntry("host-b", new HostPort("192.0.2.11", 7820)).hasSize(2);
    assertThat(all.tls().ca()).isNotEqualTo(defaults.tls().ca());
    assertThat(all.tls().certificate()).isNotEqualTo(defaults.tls().certificate());
    assertThat(all.tls().key()).isNotEqualTo(defaults.tls().key());
    assertThat(all.paths().run()).isNotEqualTo(defaults.paths().run());
    assertThat(all.paths().state()).isNotEqualTo(defaults.paths().state());
    assertThat(all.paths().nbdSocketGroup()).contains("libvirt-qemu");
    assertThat(all.copy().rateLimit()).contains(new ByteRate(50 << 20));
    assertThat(all.copy().connections()).isEqualTo(8);
    assertThat(all.copy().preCopy()).isEqualTo(PreCopyMode.HOT_LAST);
    assertThat(all.guest().pauseAfter()).contains(Duration.ofSeconds(90));
    assertThat(all.retention().keepFor()).contains(Duration.ofDays(7));
    assertThat(all.retention().keepCopies()).contains(20);
    assertThat(all.metrics().relayListen()).contains(new HostPort("127.0.0.1", 9820));
    assertThat(all.metrics().agentListen()).contains(new HostPort("127.0.0.1", 9821));
    assertThat(all.libvirtUri()).isEqualTo("qemu+unix:///system");
    assertThat(all.logLevel()).isEqualTo(LogLevel.DEBUG);
  }

  /** Prose is behind "# " or indented; what can be switched on is behind a bare "#". */
  private static String uncommented() throws IOException {
    return Files.readAllLines(CONFIG.resolve("vmferry.yaml")).stream()
        .map(line -> line.matches("#([a-z].*|  [a-z].*)") ? line.substring(1) : line)
        .collect(Collectors.joining("\n"));
  }

  private static Set<String> keysOf(String yaml) {
    Set<String> keys = new LinkedHashSet<>();
    List<ConfigProblem> problems = new ArrayList<>();
    collectKeys("", YamlTree.read(yaml, problems), keys);
    assertThat(problems).isEmpty();
    return keys;
  }

  private static void collectKeys(String prefix, YamlNode.Mapping mapping, Set<String> keys) {
    mapping
        .children()
        .forEach(
            (name, node) -> {
              keys.add(prefix + name);
              if (node instanceof YamlNode.Mapping child) {
                collectKeys(prefix + name + ".", child, keys);
              }
            });
  }
}
