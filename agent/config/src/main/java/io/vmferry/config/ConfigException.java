// SPDX-License-Identifier: Apache-2.0
package io.vmferry.config;

import java.util.List;

/** All that is wrong with a configuration, one line each. */
public final class ConfigException extends Exception {
  private static final long serialVersionUID = 1;

  private final transient List<ConfigProblem> problems;

  ConfigException(String file, List<ConfigProblem> problems) {
    super(describe(file, problems));
    this.problems = List.copyOf(problems);
  }

  private static String describe(String file, List<ConfigProblem> problems) {
    StringBuilder message = new StringBuilder("the configuration is not usable: ").append(file);
    problems.forEach(problem -> message.append("\n  ").append(problem));
    return message.toString();
  }

  /** In the order of their lines. */
  public List<ConfigProblem> problems() {
    return problems;
  }
}
