// SPDX-License-Identifier: Apache-2.0
package io.vmferry.cli.text;

import java.io.PrintWriter;
import java.util.List;

/**
 * What one check found.
 *
 * @param level how bad it is
 * @param subject what was looked at, a word or two
 * @param text what is the case
 * @param why why it matters; null if all is well or the text says it
 * @param mend the command that mends it, or what to do; null if all is well or the text says it
 */
public record Finding(Level level, String subject, String text, String why, String mend) {
  /** How bad it is. */
  public enum Level {
    OK("ok"),
    WARN("warn"),
    FAIL("FAIL");

    private final String label;

    Level(String label) {
      this.label = label;
    }
  }

  public static Finding ok(String subject, String text) {
    return new Finding(Level.OK, subject, text, null, null);
  }

  public static Finding warn(String subject, String text, String why, String mend) {
    return new Finding(Level.WARN, subject, text, why, mend);
  }

  public static Finding fail(String subject, String text, String why, String mend) {
    return new Finding(Level.FAIL, subject, text, why, mend);
  }

  /** A sentence that names reason and next step itself. */
  public static Finding refusal(String subject, String sentence) {
    return new Finding(Level.FAIL, subject, sentence, null, null);
  }

  /** Whether one of them says that something is broken. */
  public static boolean anyFails(List<Finding> findings) {
    return findings.stream().anyMatch(finding -> finding.level() == Level.FAIL);
  }

  /** One line, and one each for why and mend. */
  public void print(PrintWriter out) {
    out.printf("%-4s  %-12s  %s%n", level.label, subject, text);
    if (why != null) {
      out.printf("%20swhy:  %s%n", "", why);
    }
    if (mend != null) {
      out.printf("%20smend: %s%n", "", mend);
    }
  }
}
