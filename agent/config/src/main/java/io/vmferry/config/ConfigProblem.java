// SPDX-License-Identifier: Apache-2.0
package io.vmferry.config;

/**
 * One thing wrong with the configuration.
 *
 * @param key path of the key, such as {@code copy.connections}; empty if it is the file as a whole
 * @param reason names the value, what is wrong with it and what is allowed
 * @param line in the file, from 1; 0 if no line is to blame
 */
public record ConfigProblem(String key, String reason, int line) {
  @Override
  public String toString() {
    return (line == 0 ? "" : "line " + line + ": ") + (key.isEmpty() ? "" : key + ": ") + reason;
  }
}
