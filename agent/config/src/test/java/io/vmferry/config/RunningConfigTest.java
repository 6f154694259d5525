// SPDX-License-Identifier: Apache-2.0
package io.vmferry.config;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import io.vmferry.config.RunningConfig.Change;
import io.vmferry.config.RunningConfig.Outcome;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;

class RunningConfigTest {
  private String file = "node: a";
  private final RunningConfig running =
      new RunningConfig(parsed("node: a"), () -> Config.parse("test", file));
  private final List<LogLevel> levels = new ArrayList<>();

  private static Config parsed(String yaml) {
    try {
      return Config.parse("test", yaml);
    } catch (ConfigException e) {
      throw new AssertionError(e);
    }
  }

  private void followTheLogLevel() {
    running.add(
        newer ->
            newer.logLevel() == LogLevel.INFO
                ? Optional.empty()
                : Optional.of(
                    new Change(
                        "log.level: " + newer.logLevel(), () -> levels.add(newer.logLevel()))));
  }

  @Test
  void appliesWhatAPartFollowsAndNamesWhatNeedsARestart() throws Exception {
    followTheLogLevel();
    running.readAtStart(Set.of("listen", "paths.run"));
    file = "node: a\nlisten: 127.0.0.1:1\nlog: {level: debug}\ncopy: {connections: 2}";
    assertThat(running.reload())
        .isEqualTo(new Outcome(List.of("log.level: DEBUG"), List.of("listen")));
    assertThat(levels).containsExactly(LogLevel.DEBUG);
  }

  @Test
  void whatNeedsARestartIsNamedUntilThere() throws Exception {
    running.readAtStart(Set.of("listen"));
    file = "node: a\nlisten: 127.0.0.1:1";
    running.reload();
    assertThat(running.reload().atRestart()).containsExactly("listen");
    file = "node: a";
    assertThat(running.reload()).isEqualTo(new Outcome(List.of(), List.of()));
  }

  @Test
  void aWrongFileChangesNothing() {
    followTheLogLevel();
    file = "node: a\nlog: {level: debug}\nlog2: 1";
    assertThatThrownBy(running::reload).isInstanceOf(ConfigException.class);
    assertThat(levels).isEmpty();
  }

  @Test
  void aPartThatCantBeAppliedChangesNothing() {
    followTheLogLevel();
    running.add(
        newer -> {
          throw new IOException("no certificate");
        });
    file = "node: a\nlog: {level: debug}";
    assertThatThrownBy(running::reload).hasMessage("no certificate");
    assertThat(levels).isEmpty();
  }

  @Test
  void onlyKeysThatExistCanBeNamed() {
    assertThatThrownBy(() -> running.readAtStart(Set.of("listens")))
        .isInstanceOf(IllegalArgumentException.class);
  }

  /** The sample has every key, each with a value that is not the default. */
  @Test
  void everyKeyOfTheFileIsKnown() throws Exception {
    Config all = Config.load(Path.of("../../config/samples/valid/all-keys.yaml"));
    assertThat(new TreeSet<>(ConfigKeys.changed(parsed("node: not-the-same"), all)))
        .isEqualTo(new TreeSet<>(ConfigKeys.all()));
    assertThat(ConfigKeys.all()).isEqualTo(keysOfTheReader());
  }

  /** As the reader names them when it refuses unknown ones. */
  private static Set<String> keysOfTheReader() {
    StringBuilder yaml = new StringBuilder("x: 1\n");
    Set<String> sections =
        ConfigKeys.all().stream()
            .filter(key -> key.contains("."))
            .map(key -> key.substring(0, key.indexOf('.')))
            .collect(Collectors.toCollection(TreeSet::new));
    sections.forEach(section -> yaml.append(section).append(": {x: 1}\n"));
    ConfigException refusal =
        catchThrowableOfType(ConfigException.class, () -> Config.parse("test", yaml.toString()));
    Set<String> keys = new TreeSet<>();
    refusal.problems().stream()
        .filter(problem -> problem.reason().startsWith("unknown key"))
        .forEach(
            problem -> {
              String section = problem.key().substring(0, problem.key().length() - 1);
              Arrays.stream(problem.reason().replaceFirst(".*allowed: ", "").split(", ", -1))
                  .forEach(key -> keys.add(section + key));
            });
    keys.removeAll(sections);
    return keys;
  }

  @Test
  void aFileThatIsGoneChangesNothing() throws IOException {
    Path gone = Files.createTempFile("vmferry", ".yaml");
    Files.delete(gone);
    RunningConfig orphan = new RunningConfig(parsed("node: a"), () -> Config.load(gone));
    assertThatThrownBy(orphan::reload).isInstanceOf(IOException.class);
  }
}
