// SPDX-License-Identifier: Apache-2.0
package io.vmferry.cli.base;

import java.io.IOException;
import java.util.List;

/** Runs other programs. */
public interface Processes {
  /**
   * How a program ended.
   *
   * @param exit its exit status, 0 for success
   * @param output its standard output; empty if that went to the terminal
   * @param errors its standard error
   */
  record Result(int exit, String output, String errors) {}

  /**
   * Runs a program to its end, without input. Blocks.
   *
   * @param show whether its standard output goes to the terminal, for programs that show progress
   * @throws IOException if there is no such program
   */
  Result run(List<String> command, boolean show) throws IOException;
}
