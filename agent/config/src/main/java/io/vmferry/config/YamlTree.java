// SPDX-License-Identifier: Apache-2.0
package io.vmferry.config;

import com.fasterxml.jackson.core.JsonParseException;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.JsonToken;
import com.fasterxml.jackson.dataformat.yaml.YAMLFactory;
import com.fasterxml.jackson.dataformat.yaml.YAMLParser;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.yaml.snakeyaml.error.MarkedYAMLException;

/**
 * Reads YAML into nodes that know their line. Repeated keys become problems and the reading goes
 * on; only broken syntax ends it.
 */
final class YamlTree {
  /** Nesting in levels; the configuration has two. */
  private static final int MAX_DEPTH = 20;

  private final YAMLParser parser;
  private final List<ConfigProblem> problems;

  private YamlTree(YAMLParser parser, List<ConfigProblem> problems) {
    this.parser = parser;
    this.problems = problems;
  }

  /**
   * The keys of a document.
   *
   * @param problems what is wrong is added here
   */
  static YamlNode.Mapping read(String yaml, List<ConfigProblem> problems) {
    YamlNode.Mapping empty = new YamlNode.Mapping(1, Map.of());
    try (YAMLParser parser = new YAMLFactory().createParser(yaml)) {
      if (parser.nextToken() == null) {
        return empty;
      }
      YamlNode root = new YamlTree(parser, problems).node("", 0);
      if (parser.nextToken() != null) {
        problems.add(new ConfigProblem("", "a second document; only one is allowed", line(parser)));
      }
      if (root instanceof YamlNode.Mapping mapping) {
        return mapping;
      }
      problems.add(new ConfigProblem("", "not a map of keys; allowed: lines `key: value`", 1));
    } catch (JsonProcessingException e) {
      problems.add(syntaxProblem(e));
    } catch (IOException e) {
      throw new UncheckedIOException("reading from memory can't fail", e);
    }
    return empty;
  }

  private static ConfigProblem syntaxProblem(JsonProcessingException e) {
    if (e.getCause() instanceof MarkedYAMLException cause && cause.getProblemMark() != null) {
      // SnakeYAML counts lines from 0.
      return new ConfigProblem(
          "", "not valid YAML: " + cause.getProblem(), cause.getProblemMark().getLine() + 1);
    }
    int line = e.getLocation() == null ? 0 : e.getLocation().getLineNr();
    return new ConfigProblem("", "not valid YAML: " + e.getOriginalMessage(), line);
  }

  /** The node that begins at the parser's current token; ends at the node's last token. */
  private YamlNode node(String path, int depth) throws IOException {
    int line = line(parser);
    if (depth > MAX_DEPTH) {
      throw new JsonParseException(parser, "more than " + MAX_DEPTH + " levels");
    }
    if (parser.isCurrentAlias()) {
      return new YamlNode.Alias(line);
    }
    JsonToken token = parser.currentToken();
    if (token == JsonToken.START_OBJECT) {
      return mapping(path, line, depth);
    }
    if (token == JsonToken.START_ARRAY) {
      parser.skipChildren();
      return new YamlNode.Sequence(line);
    }
    return new YamlNode.Scalar(line, token == JsonToken.VALUE_NULL ? "" : parser.getText());
  }

  private YamlNode.Mapping mapping(String path, int line, int depth) throws IOException {
    Map<String, YamlNode> children = new LinkedHashMap<>();
    while (parser.nextToken() == JsonToken.FIELD_NAME) {
      String name = parser.currentName();
      String childPath = path.isEmpty() ? name : path + "." + name;
      int keyLine = line(parser);
      parser.nextToken();
      YamlNode child = node(childPath, depth + 1);
      YamlNode first = children.putIfAbsent(name, child);
      if (first != null) {
        problems.add(
            new ConfigProblem(
                childPath, "given twice, first in line " + first.line() + "; keep one", keyLine));
      }
    }
    return new YamlNode.Mapping(line, children);
  }

  private static int line(YAMLParser parser) {
    return parser.currentTokenLocation().getLineNr();
  }
}
