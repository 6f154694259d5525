// SPDX-License-Identifier: Apache-2.0
package io.vmferry.config;

import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.BiConsumer;
import java.util.function.Consumer;
import java.util.function.Function;

/**
 * The keys of one level of the file. Each is asked for once; those left at the end are unknown.
 * What is wrong is noted and the default taken instead, so that one reading finds everything.
 */
final class Section {
  private final String path;
  private final Map<String, YamlNode> children;
  private final List<ConfigProblem> problems;
  private final Set<String> known = new TreeSet<>();

  Section(String path, Map<String, YamlNode> children, List<ConfigProblem> problems) {
    this.path = path;
    this.children = children;
    this.problems = problems;
  }

  /**
   * The value of a key.
   *
   * @param parser turns text into the value, or throws an IllegalArgumentException with the reason
   * @param missing the value if there is no such key, or if it is wrong
   */
  <T> T value(String key, Function<String, T> parser, T missing) {
    known.add(key);
    YamlNode node = children.get(key);
    return node == null ? missing : parse(pathOf(key), node, parser, missing);
  }

  /** The same for a key that must be there; null if it is not, or is wrong. */
  <T> T required(String key, Function<String, T> parser, String allowed) {
    if (!children.containsKey(key)) {
      problems.add(new ConfigProblem(pathOf(key), "missing; allowed: " + allowed, 0));
    }
    return value(key, parser, null);
  }

  /** The keys under a key; none if it isn't there. */
  Section section(String key) {
    return new Section(pathOf(key), childrenOf(key), problems);
  }

  /**
   * All keys under a key whose names the user chooses.
   *
   * @param nameCheck throws an IllegalArgumentException with the reason if a name is wrong
   */
  <T> void each(
      String key,
      Consumer<String> nameCheck,
      Function<String, T> parser,
      BiConsumer<String, T> consumer) {
    childrenOf(key)
        .forEach(
            (name, node) -> {
              String fullPath = pathOf(key) + "." + name;
              T value =
                  parse(
                      fullPath,
                      node,
                      text -> {
                        nameCheck.accept(name);
                        return parser.apply(text);
                      },
                      null);
              if (value != null) {
                consumer.accept(name, value);
              }
            });
  }

  /** To be called last: complains about each key that nobody asked for. */
  void refuseUnknown() {
    children.forEach(
        (key, node) -> {
          if (!known.contains(key)) {
            problems.add(
                new ConfigProblem(
                    pathOf(key), "unknown key; allowed: " + String.join(", ", known), node.line()));
          }
        });
  }

  private Map<String, YamlNode> childrenOf(String key) {
    known.add(key);
    YamlNode node = children.get(key);
    if (node instanceof YamlNode.Mapping mapping) {
      return mapping.children();
    }
    // A key whose children are all commented out is left alone.
    boolean empty = node instanceof YamlNode.Scalar scalar && scalar.text().isEmpty();
    if (node != null && !empty) {
      problems.add(
          new ConfigProblem(
              pathOf(key), "not a map; allowed: indented lines `key: value`", node.line()));
    }
    return Collections.emptyMap();
  }

  private <T> T parse(String fullPath, YamlNode node, Function<String, T> parser, T fallback) {
    if (!(node instanceof YamlNode.Scalar scalar)) {
      String reason =
          node instanceof YamlNode.Alias
              ? "an alias (*); write the value out"
              : "a list or map; allowed: one value";
      problems.add(new ConfigProblem(fullPath, reason, node.line()));
      return fallback;
    }
    try {
      return parser.apply(scalar.text());
    } catch (IllegalArgumentException e) {
      problems.add(new ConfigProblem(fullPath, e.getMessage(), node.line()));
      return fallback;
    }
  }

  private String pathOf(String key) {
    return path.isEmpty() ? key : path + "." + key;
  }
}
