// SPDX-License-Identifier: Apache-2.0
package io.vmferry.cli.text;

import java.util.Locale;

/** How much of something is done, as a bar, as a percentage, and as the time that is left. */
public final class Progress {
  private static final int PER_MILLE = 1000;
  private static final long MINUTE = 60;
  private static final long HOUR = 60 * MINUTE;
  private static final long DAY = 24 * HOUR;

  private Progress() {}

  /**
   * A bar of plain ASCII, full only when all is done.
   *
   * @param width characters between the brackets, at least 1
   */
  public static String bar(long done, long total, int width) {
    int filled = (int) ((double) clamp(done, total) / total * width);
    if (done < total && filled == width) {
      filled = width - 1;
    }
    String tip = filled < width ? ">" : "";
    return "[" + "=".repeat(filled) + tip + " ".repeat(width - filled - tip.length()) + "]";
  }

  /** Rounded down to a tenth: 100.0 % means all of it. */
  public static String percent(long done, long total) {
    long perMille = (long) ((double) clamp(done, total) / total * PER_MILLE);
    if (done < total && perMille == PER_MILLE) {
      perMille--;
    }
    return String.format(Locale.ROOT, "%d.%d %%", perMille / 10, perMille % 10);
  }

  /**
   * A duration as people read it: {@code 0:07}, {@code 12:03}, {@code 3:05:00}, {@code 2 d 4 h}.
   *
   * @param seconds null if unknown, shown as a dash
   */
  public static String time(Long seconds) {
    if (seconds == null) {
      return "-";
    }
    if (seconds >= 2 * DAY) {
      return seconds / DAY + " d " + seconds % DAY / HOUR + " h";
    }
    if (seconds >= HOUR) {
      return String.format(
          Locale.ROOT, "%d:%02d:%02d", seconds / HOUR, seconds % HOUR / MINUTE, seconds % MINUTE);
    }
    return String.format(Locale.ROOT, "%d:%02d", seconds / MINUTE, seconds % MINUTE);
  }

  private static long clamp(long done, long total) {
    if (total <= 0) {
      throw new IllegalArgumentException("progress of nothing: " + total);
    }
    return Math.max(0, Math.min(done, total));
  }
}
