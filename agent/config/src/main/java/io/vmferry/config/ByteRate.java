// SPDX-License-Identifier: Apache-2.0
package io.vmferry.config;

import java.math.BigDecimal;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Data per second.
 *
 * <p>Written as a {@link ByteSize} per second, {@code 50 MiB/s}, or as network people do in powers
 * of 1000 bits, {@code 400 Mbit/s}.
 *
 * @param bytesPerSecond 1 to 2^63 - 1
 */
public record ByteRate(long bytesPerSecond) {
  /** What {@link #parse} takes, for messages. */
  public static final String SYNTAX = "a rate such as 50 MiB/s or 400 Mbit/s";

  private static final String NONE = "none";
  private static final String PER_SECOND = "/s";
  private static final Pattern BITS =
      Pattern.compile("([0-9]{1,19}(?:\\.[0-9]{1,9})?) ?([kMG])bit/s");
  private static final int BITS_PER_BYTE = 8;

  public ByteRate {
    if (bytesPerSecond < 1) {
      throw new IllegalArgumentException(
          "a rate must be at least one byte per second: " + bytesPerSecond);
    }
  }

  /**
   * Reads a rate.
   *
   * @throws IllegalArgumentException with a message that says what is wrong and what is allowed
   */
  public static ByteRate parse(String text) {
    try {
      Matcher bits = BITS.matcher(text);
      if (bits.matches()) {
        int power = 3 * (1 + "kMG".indexOf(bits.group(2)));
        // Down to whole bytes: a cap may be kept a fraction of a byte too well.
        return new ByteRate(
            new BigDecimal(bits.group(1))
                .scaleByPowerOfTen(power)
                .divideToIntegralValue(BigDecimal.valueOf(BITS_PER_BYTE))
                .longValueExact());
      }
      if (text.endsWith(PER_SECOND)) {
        String size = text.substring(0, text.length() - PER_SECOND.length());
        return new ByteRate(ByteSize.parse(size).bytes());
      }
    } catch (IllegalArgumentException | ArithmeticException e) {
      throw new IllegalArgumentException(refusal(text), e);
    }
    throw new IllegalArgumentException(refusal(text));
  }

  /**
   * Reads a limit: a rate, or {@code none}.
   *
   * @throws IllegalArgumentException with a message that says what is wrong and what is allowed
   */
  public static Optional<ByteRate> parseLimit(String text) {
    return text.equals(NONE) ? Optional.empty() : Optional.of(parse(text));
  }

  private static String refusal(String text) {
    return "'" + text + "' is not a rate; allowed: " + SYNTAX + ", at least 1 B/s";
  }

  /** For people: three significant digits, such as {@code 47.7 MiB/s}. Not exact. */
  public String approximate() {
    return new ByteSize(bytesPerSecond).approximate() + PER_SECOND;
  }

  /** Exact, and read back by {@link #parse}. */
  @Override
  public String toString() {
    return new ByteSize(bytesPerSecond) + PER_SECOND;
  }
}
