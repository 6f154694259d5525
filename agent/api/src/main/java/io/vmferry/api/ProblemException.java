// SPDX-License-Identifier: Apache-2.0
package io.vmferry.api;

/** A {@link Problem} on its way to whoever asked. */
public final class ProblemException extends RuntimeException {
  private static final long serialVersionUID = 1;

  private final transient Problem problem;

  public ProblemException(Problem.Code code, String message) {
    super(message);
    this.problem = new Problem(code, message);
  }

  public Problem problem() {
    return problem;
  }
}
