// SPDX-License-Identifier: Apache-2.0
package io.vmferry.cli;

import static org.assertj.core.api.Assertions.assertThat;

import ch.qos.logback.classic.Level;
import io.vmferry.cli.base.Surroundings;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import picocli.CommandLine;

class VmferryCommandTest extends CliFixture {
  @Test
  void helpGoesToStandardOutput() {
    Outcome outcome = runPlain("--help");
    assertThat(outcome.exit()).isZero();
    assertThat(outcome.out()).contains("status", "volume", "rate", "pki", "doctor", "agent");
  }

  @Test
  void everyCommandAndOptionIsDescribed() {
    List<String> undescribed = new ArrayList<>();
    collectUndescribed(VmferryCommand.commandLine(Surroundings.real()), undescribed);
    assertThat(undescribed).isEmpty();
  }

  private static void collectUndescribed(CommandLine command, List<String> undescribed) {
    var spec = command.getCommandSpec();
    if (spec.usageMessage().description().length == 0) {
      undescribed.add(spec.qualifiedName());
    }
    spec.options().stream()
        .filter(option -> option.description().length == 0)
        .forEach(option -> undescribed.add(spec.qualifiedName() + " " + option.longestName()));
    spec.positionalParameters().stream()
        .filter(parameter -> parameter.description().length == 0)
        .forEach(p -> undescribed.add(spec.qualifiedName() + " " + p.paramLabel()));
    command.getSubcommands().values().forEach(sub -> collectUndescribed(sub, undescribed));
  }

  @Test
  void anUnknownCommandIsAUsageError() {
    Outcome outcome = runPlain("migrate");
    assertThat(outcome.exit()).isEqualTo(2);
    assertThat(outcome.out()).isEmpty();
    assertThat(outcome.err()).startsWith("vmferry: Unmatched argument").contains("vmferry --help");
  }

  @Test
  void noCommandIsAUsageError() {
    Outcome outcome = runPlain();
    assertThat(outcome.exit()).isEqualTo(2);
    assertThat(outcome.err()).contains("Missing required subcommand");
  }

  @Test
  void aGroupWithoutACommandIsAUsageError() {
    assertThat(runPlain("volume").exit()).isEqualTo(2);
  }

  @Test
  void aUsageErrorNamesTheCommandsOwnHelp() {
    assertThat(runPlain("volume", "create").err()).contains("`vmferry volume create --help`");
  }

  @Test
  void aMissingConfigurationIsNamedInOneLine() throws IOException {
    Files.delete(configFile);
    Outcome outcome = run("status");
    assertThat(outcome.exit()).isEqualTo(1);
    assertThat(outcome.err())
        .isEqualTo(
            "vmferry: can't read the configuration "
                + configFile
                + ": no such file or directory; name another with --config FILE\n");
  }

  @Test
  void aWrongConfigurationIsListedWhole() throws IOException {
    Files.writeString(configFile, "nodes: a\ncopy: {connections: 0}\n");
    Outcome outcome = run("status");
    assertThat(outcome.exit()).isEqualTo(1);
    assertThat(outcome.err()).contains("  node: missing", "line 1: nodes:", "line 2: copy.conn");
  }

  @Test
  void aProcessWithoutConfigurationEndsWithItsOwnStatusSoThatItIsNotStartedAgain()
      throws IOException {
    Files.writeString(configFile, "listen: 127.0.0.1:0\n");
    for (String process : List.of("relay", "agent")) {
      Outcome outcome = run(process);
      assertThat(outcome.exit()).isEqualTo(78);
      assertThat(outcome.err()).startsWith("vmferry: ").contains("node: missing");
    }
    Files.delete(configFile);
    assertThat(run("relay").exit()).isEqualTo(78);
  }

  @Test
  void theCompletionKnowsTheCommands() {
    Outcome outcome = runPlain("generate-completion");
    assertThat(outcome.exit()).isZero();
    assertThat(outcome.out()).contains("complete -F", "disk-xml", "until-complete");
    assertThat(runPlain("--help").out()).doesNotContain("generate-completion");
  }

  @Test
  void aRelayThatDoesNotAnswerIsSaidInOneLine() {
    Outcome outcome = run("volume", "list");
    assertThat(outcome.exit()).isEqualTo(1);
    assertThat(outcome.out()).isEmpty();
    assertThat(outcome.err())
        .startsWith("vmferry: the relay does not answer on " + directory + "/run/relay.sock: ")
        .endsWith("; start it with `systemctl start vmferry-relay`\n")
        .hasLineCount(1);
  }

  @Test
  void aBugIsSaidInOneLine() throws IOException {
    startRelay();
    startAgent();
    pause =
        millis -> {
          throw new IllegalStateException("broken");
        };
    Outcome outcome = run("status", "--watch");
    assertThat(outcome.exit()).isEqualTo(1);
    assertThat(outcome.err())
        .isEqualTo(
            "vmferry: internal error: java.lang.IllegalStateException: broken; this is a fault of"
                + " vmferry: please report it\n");
  }

  @Test
  void anAgentThatCanNotBindSaysWhy() throws IOException {
    startAgent();
    Files.writeString(configFile, "log: {level: error}\n", StandardOpenOption.APPEND);
    Outcome outcome = run("agent");
    assertThat(outcome.exit()).isEqualTo(1);
    assertThat(outcome.err()).contains("agent.sock: another process does").hasLineCount(1);
    ch.qos.logback.classic.Logger root =
        (ch.qos.logback.classic.Logger) LoggerFactory.getLogger(Logger.ROOT_LOGGER_NAME);
    assertThat(root.getLevel()).isEqualTo(Level.ERROR);
  }
}
