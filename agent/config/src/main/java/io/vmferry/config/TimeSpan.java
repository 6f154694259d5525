// SPDX-License-Identifier: Apache-2.0
package io.vmferry.config;

import java.time.Duration;
import java.util.Map;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** A time span as it stands in the configuration: whole seconds, minutes or hours. */
final class TimeSpan {
  /** What {@link #parse} takes, for messages. */
  static final String SYNTAX = "a time such as 20 s, 5 min or 1 h";

  private static final String OFF = "off";

  /** Days are as long as anybody waits for a link; nine digits of hours fit a Duration by far. */
  private static final Pattern FORM = Pattern.compile("([0-9]{1,9}) ?(s|min|h)");

  private static final Map<String, Duration> UNITS =
      Map.of("s", Duration.ofSeconds(1), "min", Duration.ofMinutes(1), "h", Duration.ofHours(1));

  private TimeSpan() {}

  /**
   * Reads a time span of at least one second.
   *
   * @throws IllegalArgumentException with a message that says what is wrong and what is allowed
   */
  static Duration parse(String text) {
    Matcher form = FORM.matcher(text);
    Duration span =
        form.matches()
            ? UNITS.get(form.group(2)).multipliedBy(Long.parseLong(form.group(1)))
            : Duration.ZERO;
    if (span.isZero()) {
      throw new IllegalArgumentException(
          "'" + text + "' is not a time; allowed: " + SYNTAX + ", at least 1 s");
    }
    return span;
  }

  /**
   * Reads a time span, or {@code off}.
   *
   * @throws IllegalArgumentException with a message that says what is wrong and what is allowed
   */
  static Optional<Duration> parseOrOff(String text) {
    if (text.equals(OFF)) {
      return Optional.empty();
    }
    try {
      return Optional.of(parse(text));
    } catch (IllegalArgumentException e) {
      throw new IllegalArgumentException(e.getMessage() + ", or off", e);
    }
  }
}
