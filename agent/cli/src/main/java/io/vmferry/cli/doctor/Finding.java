// SPDX-License-Identifier: Apache-2.0
package io.vmferry.cli.doctor;

/**
 * What one check found.
 *
 * @param level how bad it is
 * @param subject what was looked at, a word or two
 * @param text what is the case
 * @param why why it matters; null if all is well
 * @param mend the command that mends it, or what to do; null if all is well
 */
record Finding(Level level, String subject, String text, String why, String mend) {
  /** How bad it is. */
  enum Level {
    OK("ok"),
    WARN("warn"),
    FAIL("FAIL");

    private final String label;

    Level(String label) {
      this.label = label;
    }

    String label() {
      return label;
    }
  }

  static Finding ok(String subject, String text) {
    return new Finding(Level.OK, subject, text, null, null);
  }

  static Finding warn(String subject, String text, String why, String mend) {
    return new Finding(Level.WARN, subject, text, why, mend);
  }

  static Finding fail(String subject, String text, String why, String mend) {
    return new Finding(Level.FAIL, subject, text, why, mend);
  }
}
