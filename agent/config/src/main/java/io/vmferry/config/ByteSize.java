// SPDX-License-Identifier: Apache-2.0
package io.vmferry.config;

import java.math.BigDecimal;
import java.util.Locale;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * An amount of data.
 *
 * <p>Written as a number and a unit: {@code 10 GiB}, {@code 10G}, {@code 1.5 TiB}, {@code 4096}.
 * Units are powers of 1024. {@code GB} is refused, because half of its readers take it for 10^9.
 *
 * @param bytes 0 to 2^63 - 1
 */
public record ByteSize(long bytes) implements Comparable<ByteSize> {
  /** What {@link #parse} takes, for messages. */
  public static final String SYNTAX = "a number and K, M, G, T or P, such as 10G or 1.5 GiB";

  private static final Pattern TEXT =
      Pattern.compile("([0-9]{1,19}(?:\\.[0-9]{1,9})?)(?: ?(?:([KMGTP])(?:iB)?|B))?");
  private static final String[] UNITS = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  private static final int UNIT_STEP = 1024;

  public ByteSize {
    if (bytes < 0) {
      throw new IllegalArgumentException("a size can't be negative: " + bytes);
    }
  }

  /**
   * Reads a size.
   *
   * @throws IllegalArgumentException with a message that says what is wrong and what is allowed
   */
  public static ByteSize parse(String text) {
    Matcher matcher = TEXT.matcher(text);
    if (!matcher.matches()) {
      throw new IllegalArgumentException("'" + text + "' is not a size; allowed: " + SYNTAX);
    }
    long unit = matcher.group(2) == null ? 1 : 1L << (10 * (1 + "KMGTP".indexOf(matcher.group(2))));
    BigDecimal bytes = new BigDecimal(matcher.group(1)).multiply(BigDecimal.valueOf(unit));
    try {
      return new ByteSize(bytes.longValueExact());
    } catch (ArithmeticException e) {
      throw new IllegalArgumentException(
          "'" + text + "' is not a whole number of bytes below 2^63", e);
    }
  }

  /** For people: three significant digits, such as {@code 1.46 GiB}. Not exact. */
  public String approximate() {
    double amount = bytes;
    int unit = 0;
    // 999.5 would print as 1000: four digits.
    while (amount >= 999.5 && unit < UNITS.length - 1) {
      amount /= UNIT_STEP;
      unit++;
    }
    String digits = unit == 0 || amount >= 99.95 ? "%.0f" : amount >= 9.995 ? "%.1f" : "%.2f";
    return String.format(Locale.ROOT, digits + " %s", amount, UNITS[unit]);
  }

  /** Exact, and read back by {@link #parse}: the largest unit that divides the amount. */
  @Override
  public String toString() {
    long amount = bytes;
    int unit = 0;
    while (amount != 0 && amount % UNIT_STEP == 0 && unit < UNITS.length - 2) {
      amount /= UNIT_STEP;
      unit++;
    }
    return amount + " " + UNITS[unit];
  }

  @Override
  public int compareTo(ByteSize other) {
    return Long.compare(bytes, other.bytes);
  }
}
