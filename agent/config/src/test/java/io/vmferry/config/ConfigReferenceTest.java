// SPDX-License-Identifier: Apache-2.0
package io.vmferry.config;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** vmferry.yaml(5) has each key with its default, and with what the program says is allowed. */
class ConfigReferenceTest {
  private static final Path PAGE = Path.of("../../docs/man/vmferry.yaml.5");

  /** A key's heading, and all until the next one. */
  private static final Pattern ENTRY =
      Pattern.compile("\n\\.TP\n\\.B ([a-z.-]+)\n(.*?)(?=\n\\.(?:TP|SH))", Pattern.DOTALL);

  private static final Pattern LAST_LINE =
      Pattern.compile("\n(?:(Required)|Default: (.*))\\. Allowed: (.*)\\.$");

  private static final String NOT_SET = "not set";

  /** The last line of each key's entry. */
  private static Map<String, Matcher> entries() throws IOException {
    String page = Files.readString(PAGE).replace("\\-", "-");
    Map<String, Matcher> entries = new LinkedHashMap<>();
    Matcher entry = ENTRY.matcher(page.substring(page.indexOf(".SH KEYS")));
    while (entry.find()) {
      Matcher last = LAST_LINE.matcher(entry.group(2));
      assertThat(last.find()).as("last line of " + entry.group(1)).isTrue();
      entries.put(entry.group(1), last);
    }
    return entries;
  }

  static Set<String> keys() {
    return ConfigKeys.all();
  }

  @Test
  void hasTheKeysThatThereAreInTheirOrder() throws IOException {
    assertThat(entries().keySet()).containsExactlyElementsOf(keys());
  }

  @ParameterizedTest
  @MethodSource("keys")
  void theDefaultOfTheKeyIsTheProgramsOwn(String key) throws Exception {
    Matcher entry = entries().get(key);
    if (entry.group(1) != null) {
      assertThat(refusal("listen: 0.0.0.0:1")).contains(key + ": missing");
    } else if (entry.group(2).equals(NOT_SET)) {
      assertThat(Config.parse("test", "node: a").toString())
          .contains(key.equals("peers") ? "peers={}" : "nbdSocketGroup=Optional.empty");
    } else {
      Config shown = Config.parse("test", "node: a\n" + yaml(key, "'" + entry.group(2) + "'"));
      assertThat(ConfigKeys.changed(Config.parse("test", "node: a"), shown)).isEmpty();
    }
  }

  @ParameterizedTest
  @MethodSource("keys")
  void whatIsAllowedForTheKeyIsWhatARefusalSays(String key) throws IOException {
    String nonsense = key.equals("peers") ? "{b: '?!'}" : "'?!'";
    String node = key.equals("node") ? "" : "node: a\n";
    assertThat(refusal(node + yaml(key, nonsense)))
        .endsWith("; allowed: " + entries().get(key).group(3));
  }

  private static String refusal(String yaml) {
    return catchThrowableOfType(ConfigException.class, () -> Config.parse("test", yaml))
        .getMessage();
  }

  private static String yaml(String key, String value) {
    int dot = key.indexOf('.');
    return dot < 0
        ? key + ": " + value
        : key.substring(0, dot) + ": {" + key.substring(dot + 1) + ": " + value + "}";
  }
}
