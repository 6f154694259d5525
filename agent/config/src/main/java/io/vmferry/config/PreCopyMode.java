// SPDX-License-Identifier: Apache-2.0
package io.vmferry.config;

import java.util.Arrays;
import java.util.Locale;
import java.util.stream.Collectors;

/** What a standby copies before the handover, while the VM's memory moves. */
public enum PreCopyMode {
  /** Nothing: the disk follows the VM. */
  NONE,
  /** Each block once; what the guest used last comes last, and what it writes again is left out. */
  HOT_LAST,
  /** The same, and then again what the guest wrote meanwhile, a few times. */
  FULL;

  /**
   * The mode that a configuration or a request names.
   *
   * @throws IllegalArgumentException if there is none of that name; says which there are
   */
  public static PreCopyMode parse(String text) {
    for (PreCopyMode mode : values()) {
      if (mode.toString().equals(text)) {
        return mode;
      }
    }
    String allowed =
        Arrays.stream(values()).map(PreCopyMode::toString).collect(Collectors.joining(", "));
    throw new IllegalArgumentException(
        "'" + text + "' is not a kind of pre-copy; allowed: " + allowed);
  }

  /** As the configuration has it. */
  @Override
  public String toString() {
    return name().toLowerCase(Locale.ROOT).replace('_', '-');
  }
}
