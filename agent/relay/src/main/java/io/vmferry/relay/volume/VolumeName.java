// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.volume;

import io.vmferry.api.Problem;
import io.vmferry.api.ProblemException;
import java.util.regex.Pattern;

/** What a volume may be called: its name is also a directory's and an NBD export's. */
public final class VolumeName {
  private static final Pattern ALLOWED = Pattern.compile("[A-Za-z0-9_][A-Za-z0-9._-]{0,127}");

  private VolumeName() {}

  public static boolean isValid(String name) {
    return name != null && ALLOWED.matcher(name).matches();
  }

  /**
   * Refuses what can't be a volume's name.
   *
   * @throws ProblemException BAD_REQUEST
   */
  public static String check(String name) {
    if (!isValid(name)) {
      throw new ProblemException(
          Problem.Code.BAD_REQUEST,
          "'"
              + name
              + "' can't be a volume's name; use 1 to 128 letters, digits, dots, underscores and"
              + " hyphens, not beginning with a dot or hyphen");
    }
    return name;
  }
}
