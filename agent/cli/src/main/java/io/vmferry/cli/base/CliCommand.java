// SPDX-License-Identifier: Apache-2.0
package io.vmferry.cli.base;

import java.io.PrintWriter;
import java.util.concurrent.Callable;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Spec;

/** A command that does something, and says so on the writers of its command line. */
public abstract class CliCommand implements Callable<Integer> {
  /** Exit status: done. */
  public static final int OK = 0;

  /** Exit status: not done, the reason is on standard error. */
  public static final int FAILED = 1;

  private final Surroundings surroundings;

  @Spec private CommandSpec spec;

  protected CliCommand(Surroundings surroundings) {
    this.surroundings = surroundings;
  }

  protected final Surroundings surroundings() {
    return surroundings;
  }

  protected final PrintWriter out() {
    return spec.commandLine().getOut();
  }

  /** Something the user should know, though the command goes on. */
  protected final void warn(String message) {
    PrintWriter err = spec.commandLine().getErr();
    err.println("vmferry: " + message);
    err.flush();
  }
}
