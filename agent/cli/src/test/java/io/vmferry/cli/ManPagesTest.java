// SPDX-License-Identifier: Apache-2.0
package io.vmferry.cli;

import static org.assertj.core.api.Assertions.assertThat;

import io.vmferry.cli.base.Surroundings;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import picocli.CommandLine;
import picocli.CommandLine.Model.CommandSpec;

/** The manual pages say what the program can do, no more and no less. */
class ManPagesTest {
  private static final Path PAGES = Path.of("../../docs/man");

  /** Described once, for all commands. */
  private static final Set<String> COMMON = Set.of("--config", "--help", "--version");

  private static final Pattern LONG_OPTION = Pattern.compile("(?<![a-z-])--[a-z][a-z-]*");

  @Test
  void everyCommandHasASectionWithItsOptions() throws IOException {
    String page = page("vmferry.1");
    for (CommandSpec command : leaves()) {
      String name = command.qualifiedName().substring("vmferry ".length());
      Set<String> options =
          command.options().stream()
              .map(option -> option.longestName())
              .filter(option -> !COMMON.contains(option))
              .collect(Collectors.toCollection(TreeSet::new));
      assertThat(optionsIn(section(page, name))).as(name).isEqualTo(options);
    }
  }

  @Test
  void theCommonOptionsAreDescribed() throws IOException {
    assertThat(optionsIn(page("vmferry.1"))).containsAll(COMMON);
  }

  @Test
  void noSectionDescribesACommandThatDoesNotExist() throws IOException {
    Set<String> commands =
        leaves().stream()
            .map(command -> command.qualifiedName().substring("vmferry ".length()))
            .collect(Collectors.toSet());
    List<String> sections =
        page("vmferry.1").lines().filter(line -> line.startsWith(".SS ")).toList();
    assertThat(sections).hasSameSizeAs(commands);
    assertThat(sections).allSatisfy(line -> assertThat(commands).contains(line.substring(4)));
  }

  private static List<CommandSpec> leaves() {
    List<CommandSpec> found = new ArrayList<>();
    collectLeaves(VmferryCommand.commandLine(Surroundings.real()), found);
    return found;
  }

  private static void collectLeaves(CommandLine command, List<CommandSpec> found) {
    if (command.getCommandSpec().usageMessage().hidden()) {
      return; // not for users
    }
    if (command.getSubcommands().isEmpty()) {
      found.add(command.getCommandSpec());
    }
    command.getSubcommands().values().forEach(sub -> collectLeaves(sub, found));
  }

  private static Set<String> optionsIn(String text) {
    Set<String> options = new TreeSet<>();
    Matcher matcher = LONG_OPTION.matcher(text);
    while (matcher.find()) {
      options.add(matcher.group());
    }
    return options;
  }

  /** From a command's heading to the next one. */
  private static String section(String page, String name) {
    String heading = ".SS " + name + "\n";
    int start = page.indexOf(heading);
    assertThat(start).as("section of " + name).isNotNegative();
    int end = page.indexOf("\n.S", start + 1);
    return page.substring(start, end);
  }

  /** A page without roff's escapes of the hyphen. */
  private static String page(String name) throws IOException {
    return Files.readString(PAGES.resolve(name)).replace("\\-", "-");
  }
}
