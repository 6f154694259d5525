// SPDX-License-Identifier: Apache-2.0
package io.vmferry.cli;

import static org.assertj.core.api.Assertions.assertThat;

import io.vmferry.cli.base.Surroundings;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import picocli.CommandLine.MissingParameterException;
import picocli.CommandLine.ParameterException;

/** Whatever tells a person to type `vmferry …` names a command and options that there are. */
class DocumentedCommandsTest {
  private static final Path REPOSITORY = Path.of("../..");

  /** A line of a code block: the command ends before what explains it. */
  private static final Pattern LINE = Pattern.compile("(?m)^ {4,}(vmferry .*?)(?: {2,}.*| # .*)?$");

  /** In a sentence or a message. */
  private static final Pattern QUOTED = Pattern.compile("[`'](vmferry [^`'\"]+?)\\\\?[`']");

  /** Between two commands of a line. */
  private static final String SEPARATOR = " (?:&&|\\||>>?)(?: |$)|; | &&$";

  private static final Pattern WORD = Pattern.compile("'([^']*)'|\"([^\"]*)\"|(\\S+)");

  private int seen;

  @Test
  void documentsHaveCommandsThatWork() throws IOException {
    List<String> wrong = new ArrayList<>();
    for (Path file : files(REPOSITORY, ".md")) {
      String text = Files.readString(file);
      LINE.matcher(text).results().forEach(found -> check(file, found.group(1), true, wrong));
      String sentences = text.replaceAll("(?m)^ {4}.*$", "").replaceAll("\\s+", " ");
      Matcher quoted = QUOTED.matcher(sentences);
      while (quoted.find()) {
        check(file, quoted.group(1), false, wrong);
      }
    }
    assertThat(wrong).isEmpty();
    assertThat(seen).isGreaterThan(60);
  }

  /** Their next step is a command more often than not. */
  @Test
  void messagesHaveCommandsThatWork() throws IOException {
    List<String> wrong = new ArrayList<>();
    for (String folder : List.of("agent", "packaging/src", "libvirt-hooks", "nova-plugin-shim")) {
      for (Path file :
          files(REPOSITORY.resolve(folder), ".java", ".sh", ".py", "prerm", "vmferry")) {
        if (file.toString().contains("/src/test/")) {
          continue;
        }
        String text =
            Files.readString(file)
                .replaceAll("\"\\s*\\+\\s*\"", "")
                .replaceAll("\"\\s*\\+[^\";]*\\+\\s*\"", "X")
                .replace("\\`", "`");
        Matcher quoted = QUOTED.matcher(text);
        while (quoted.find()) {
          check(file, quoted.group(1).replaceAll("\\s+", " "), false, wrong);
        }
      }
    }
    assertThat(wrong).isEmpty();
    assertThat(seen).isGreaterThan(20);
  }

  /**
   * @param whole whether nothing may be left out; a sentence may speak of a command by its name
   */
  private void check(Path file, String line, boolean whole, List<String> wrong) {
    for (String command : line.split(SEPARATOR, -1)) {
      String text = command.strip();
      if (!text.startsWith("vmferry ") || text.contains("…")) {
        continue;
      }
      seen++;
      List<String> words = new ArrayList<>();
      Matcher word = WORD.matcher(text.substring("vmferry ".length()));
      while (word.find()) {
        words.add(word.group(1) != null ? word.group(1) : word.group().replace("\"", ""));
      }
      try {
        VmferryCommand.commandLine(Surroundings.real()).parseArgs(words.toArray(String[]::new));
      } catch (MissingParameterException e) {
        if (whole) {
          wrong.add(file + ": " + text + ": " + e.getMessage());
        }
      } catch (ParameterException e) {
        wrong.add(file + ": " + text + ": " + e.getMessage());
      }
    }
  }

  private static List<Path> files(Path folder, String... ends) throws IOException {
    try (Stream<Path> files = Files.walk(folder)) {
      return files
          .filter(file -> !file.toString().contains("/target/"))
          .filter(file -> Stream.of(ends).anyMatch(end -> file.toString().endsWith(end)))
          .filter(Files::isRegularFile)
          .toList();
    }
  }
}
