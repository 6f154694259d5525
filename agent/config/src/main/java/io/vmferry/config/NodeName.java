// SPDX-License-Identifier: Apache-2.0
package io.vmferry.config;

import java.util.regex.Pattern;

/** What a node may be called: as a host, because it is named after one in most places. */
public final class NodeName {
  /** What {@link #check} takes, for messages. */
  public static final String SYNTAX = "1 to 64 letters, digits, dots and dashes, as in a host name";

  /** 64 characters are the limit of a certificate's CN. */
  private static final Pattern TEXT =
      Pattern.compile("[A-Za-z0-9]([A-Za-z0-9.-]{0,62}[A-Za-z0-9])?");

  private NodeName() {}

  /**
   * The name itself, if it is one.
   *
   * @throws IllegalArgumentException with a message that says what is allowed
   */
  public static String check(String text) {
    if (!TEXT.matcher(text).matches()) {
      throw new IllegalArgumentException("'" + text + "' is not a node's name; allowed: " + SYNTAX);
    }
    return text;
  }
}
