// SPDX-License-Identifier: Apache-2.0
package io.vmferry.config;

import java.time.Duration;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * How an amount of time is written: a number and a unit, {@code 90 s}, {@code 30min}, {@code 12h},
 * {@code 7d}. A number without unit is refused, because nobody could tell what it means; only
 * {@code 0} needs none. A day has 24 hours.
 */
final class TimeSpan {
  /** What {@link #parse} takes, for messages. */
  static final String SYNTAX = "a whole number and s, min, h or d, such as 20 s, 12 h or 7 d";

  /** Nine digits of days are more than two million years, and fit any arithmetic with them. */
  private static final Pattern TEXT = Pattern.compile("([0-9]{1,9}) ?(s|min|h|d)|0");

  private TimeSpan() {}

  /**
   * Reads a time span, zero or longer.
   *
   * @throws IllegalArgumentException with a message that says what is wrong and what is allowed
   */
  static Duration parse(String text) {
    Matcher matcher = TEXT.matcher(text);
    if (!matcher.matches()) {
      throw new IllegalArgumentException("'" + text + "' is not a time; allowed: " + SYNTAX);
    }
    if (matcher.group(1) == null) {
      return Duration.ZERO;
    }
    long number = Long.parseLong(matcher.group(1));
    return switch (matcher.group(2)) {
      case "s" -> Duration.ofSeconds(number);
      case "min" -> Duration.ofMinutes(number);
      case "h" -> Duration.ofHours(number);
      default -> Duration.ofDays(number);
    };
  }
}
