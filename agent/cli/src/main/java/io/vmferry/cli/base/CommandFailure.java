// SPDX-License-Identifier: Apache-2.0
package io.vmferry.cli.base;

import java.io.IOException;
import java.nio.file.AccessDeniedException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.NoSuchFileException;

/** A command could not do what it was asked to. The message is all that its user gets to see. */
public final class CommandFailure extends Exception {
  private static final long serialVersionUID = 1;

  /**
   * A failure.
   *
   * @param message names the thing, the reason and the next step
   */
  public CommandFailure(String message) {
    super(message);
  }

  /**
   * A failure.
   *
   * @param message names the thing, the reason and the next step
   */
  public CommandFailure(String message, Throwable cause) {
    super(message, cause);
  }

  /** What the operating system says of a file, in words. */
  public static String reason(IOException e) {
    if (e instanceof NoSuchFileException) {
      return "no such file or directory";
    }
    if (e instanceof AccessDeniedException) {
      return "permission denied; run this as root";
    }
    if (e instanceof FileAlreadyExistsException) {
      return "it exists already";
    }
    return e.getMessage() == null ? e.toString() : e.getMessage();
  }
}
