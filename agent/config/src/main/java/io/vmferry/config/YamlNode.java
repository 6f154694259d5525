// SPDX-License-Identifier: Apache-2.0
package io.vmferry.config;

import java.util.Map;

/** What a key of the file has: text, keys of its own, or something the configuration never uses. */
sealed interface YamlNode {
  /** Line in the file, from 1. */
  int line();

  /**
   * One value.
   *
   * @param text as written, without quotes; empty if nothing was
   */
  record Scalar(int line, String text) implements YamlNode {}

  /**
   * Keys with values.
   *
   * @param children in the order of the file
   */
  record Mapping(int line, Map<String, YamlNode> children) implements YamlNode {}

  /** A list. */
  record Sequence(int line) implements YamlNode {}

  /** A reference to a value elsewhere in the file. */
  record Alias(int line) implements YamlNode {}
}
