// SPDX-License-Identifier: Apache-2.0
package io.vmferry.nbd;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

/**
 * The matrix in docs/nbd-support.md has each item of the checklist once, and names for each item
 * just the test classes that have a test of it. A test of an item begins with its id: {@code
 * x10x35AFlush…} in Java, {@code test_x10_x35_a_flush…} in Python.
 */
class NbdSupportMatrixTest {
  private static final Path ROOT = Path.of("../..");
  private static final Path DOCUMENT = ROOT.resolve("docs/nbd-support.md");

  /** Where tests of the checklist may be. */
  private static final List<Path> TESTS =
      List.of(
          ROOT.resolve("agent/nbd/src/test/java"),
          ROOT.resolve("agent/relay/src/test/java"),
          ROOT.resolve("tests/e2e"));

  private static final List<String> CVES =
      List.of(
          "CVE-2019-14842",
          "CVE-2019-14850",
          "CVE-2019-14851",
          "CVE-2020-10761",
          "CVE-2021-20286",
          "CVE-2021-3716",
          "CVE-2022-0485",
          "CVE-2022-26495",
          "CVE-2022-26496",
          "CVE-2024-7409");

  private static final Pattern ROW =
      Pattern.compile("\\| (\\w+[-\\w]*) \\| ([^|]+) \\| ([^|]+) \\| ([^|]*) ?\\|");

  /** An answer is one of these words, with a reason unless the item is simply met. */
  private static final Pattern ANSWER =
      Pattern.compile("met(: .+)?|not applicable: .+|differs: .+");

  private static final String ID = "[hox]\\d{2}|r\\d{1,2}|cve\\d{8,9}";
  private static final Pattern JAVA_TEST =
      Pattern.compile("\\bvoid ((?:" + ID + ")+)(?=[A-Z])\\w*\\(");
  private static final Pattern PYTHON_TEST =
      Pattern.compile("(?m)^def test_((?:(?:" + ID + ")_)+)\\w+\\(");

  private record Row(String id, String answer, Set<String> tests) {}

  private static List<Row> matrix() throws IOException {
    List<Row> rows = new ArrayList<>();
    boolean inMatrix = false;
    for (String line : Files.readAllLines(DOCUMENT)) {
      if (line.startsWith("#")) {
        inMatrix = line.equals("## Checklist") || (inMatrix && line.startsWith("###"));
      }
      Matcher row = ROW.matcher(line);
      if (inMatrix && row.matches() && !row.group(1).equals("id") && !row.group(1).matches("-+")) {
        Set<String> tests = new TreeSet<>();
        Stream.of(row.group(4).split("[, ]+"))
            .map(name -> name.replace("`", ""))
            .filter(name -> !name.isEmpty())
            .forEach(tests::add);
        rows.add(new Row(row.group(1), row.group(3).strip(), tests));
      }
    }
    return rows;
  }

  private static List<String> checklist() {
    List<String> ids = new ArrayList<>();
    number(ids, "H%02d", 13);
    number(ids, "O%02d", 29);
    number(ids, "X%02d", 36);
    number(ids, "R%d", 15);
    ids.addAll(CVES);
    return ids;
  }

  private static void number(List<String> ids, String form, int last) {
    for (int i = 1; i <= last; i++) {
      ids.add(form.formatted(i));
    }
  }

  /** The tests of each id, as the names of their files without ending. */
  private static Map<String, Set<String>> tests() throws IOException {
    Map<String, Set<String>> tests = new TreeMap<>();
    for (Path folder : TESTS) {
      try (Stream<Path> files = Files.walk(folder)) {
        files.filter(Files::isRegularFile).forEach(file -> collect(file, tests));
      }
    }
    return tests;
  }

  private static void collect(Path file, Map<String, Set<String>> tests) {
    String name = file.getFileName().toString();
    boolean java = name.endsWith("Test.java");
    if (!java && !name.matches("test_\\w+\\.py")) {
      return;
    }
    String text;
    try {
      text = Files.readString(file);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    Matcher test = (java ? JAVA_TEST : PYTHON_TEST).matcher(text);
    while (test.find()) {
      Matcher id = Pattern.compile(ID).matcher(test.group(1));
      while (id.find()) {
        tests
            .computeIfAbsent(spelled(id.group()), none -> new TreeSet<>())
            .add(name.substring(0, name.lastIndexOf('.')));
      }
    }
  }

  private static String spelled(String id) {
    return id.startsWith("cve")
        ? "CVE-" + id.substring(3, 7) + "-" + id.substring(7)
        : id.toUpperCase(Locale.ROOT);
  }

  @Test
  void everyItemIsThereOnce() throws IOException {
    assertThat(matrix().stream().map(Row::id)).containsExactlyInAnyOrderElementsOf(checklist());
  }

  @Test
  void everyAnswerIsOneOfThree() throws IOException {
    assertThat(matrix()).allSatisfy(row -> assertThat(row.answer()).matches(ANSWER));
  }

  @Test
  void whatIsMetOrDiffersHasATest() throws IOException {
    assertThat(matrix())
        .filteredOn(row -> !row.answer().startsWith("not applicable"))
        .allSatisfy(row -> assertThat(row.tests()).as(row.id()).isNotEmpty());
  }

  @Test
  void theMatrixNamesTheTestsThatAreThere() throws IOException {
    Map<String, Set<String>> named = new TreeMap<>();
    matrix().stream()
        .filter(row -> !row.tests().isEmpty())
        .forEach(row -> named.put(row.id(), row.tests()));
    assertThat(named).isEqualTo(tests());
  }

  @Test
  void anIdIsReadFromTheNameOfATest() {
    Matcher test = JAVA_TEST.matcher("  void" + " x10r8cve202226495DataThenBit() {");
    assertThat(test.find()).isTrue();
    List<String> ids = new ArrayList<>();
    Matcher id = Pattern.compile(ID).matcher(test.group(1));
    while (id.find()) {
      ids.add(spelled(id.group()));
    }
    assertThat(ids).isEqualTo(Arrays.asList("X10", "R8", "CVE-2022-26495"));
    assertThat(JAVA_TEST.matcher("void requestsAreBounded()").find()).isFalse();
  }
}
