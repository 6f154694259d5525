// SPDX-License-Identifier: Apache-2.0
package io.vmferry.cli;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

import io.vmferry.cli.base.Surroundings;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import picocli.CommandLine;

/** What bash offers at the Tab key is what the program understands. */
class CompletionTest extends CliFixture {
  /** Stands for the word that is being typed; what is asked, to what is expected. */
  private final Map<String, Set<String>> expected = new LinkedHashMap<>();

  @BeforeEach
  void everyCommand() {
    collect("", VmferryCommand.commandLine(Surroundings.real()));
  }

  private void collect(String path, CommandLine command) {
    Set<String> subcommands = new TreeSet<>();
    command
        .getSubcommands()
        .forEach(
            (name, sub) -> {
              if (!sub.getCommandSpec().usageMessage().hidden()) {
                subcommands.add(name);
                collect(path + name + " ", sub);
              }
            });
    if (!subcommands.isEmpty()) {
      expected.put(path + "''", subcommands);
    }
    expected.put(
        path + "--",
        command.getCommandSpec().options().stream()
            .map(option -> option.longestName())
            .collect(Collectors.toCollection(TreeSet::new)));
  }

  @Test
  void offersTheCommandsTheirOptionsAndTheirValues() throws Exception {
    expected.put("reload ''", Set.of("relay", "agent"));
    expected.put("volume export --format ''", Set.of("raw", "qcow2"));
    expected.put("volume export --fo", Set.of("--force", "--format"));
    assertThat(expected).hasSizeGreaterThan(25);
    assertThat(offered(expected.keySet())).isEqualTo(expected);
  }

  /** What the script offers after each of these lines. */
  private Map<String, Set<String>> offered(Set<String> lines) throws Exception {
    Path script = directory.resolve("completion");
    List<String> text = new ArrayList<>(List.of(runPlain("generate-completion").out()));
    for (String line : lines) {
      text.add("COMP_WORDS=(vmferry " + line + "); COMP_CWORD=$((${#COMP_WORDS[@]} - 1))");
      text.add("COMPREPLY=(); _complete_vmferry; echo ${COMPREPLY[*]}");
    }
    Files.write(script, text);
    List<String> answers = bash(script);
    Map<String, Set<String>> offered = new LinkedHashMap<>();
    int answer = 0;
    for (String line : lines) {
      offered.put(line, new TreeSet<>(Arrays.asList(answers.get(answer++).split(" ", -1))));
    }
    return offered;
  }

  /** Not in a terminal, so what is only for one fails, and says so on standard error. */
  private static List<String> bash(Path script) throws IOException, InterruptedException {
    Process bash =
        new ProcessBuilder("bash", "--norc", script.toString())
            .redirectError(ProcessBuilder.Redirect.DISCARD)
            .start();
    bash.getOutputStream().close();
    String output = new String(bash.getInputStream().readAllBytes(), UTF_8);
    assertThat(bash.waitFor()).isZero();
    return output.lines().toList();
  }
}
