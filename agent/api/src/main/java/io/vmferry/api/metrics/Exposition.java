// SPDX-License-Identifier: Apache-2.0
package io.vmferry.api.metrics;

import java.util.Arrays;

/**
 * Text of Prometheus' exposition format 0.0.4. Written by hand, because all values are read from
 * one status at one moment: a registry of meters would only have to be kept in step with it.
 */
final class Exposition {
  private final StringBuilder text = new StringBuilder();
  private String family;

  /** Begins a family of a value that goes up and down. */
  Exposition gauge(String name, String help) {
    return begin(name, "gauge", help);
  }

  /** Begins a family of a value that only grows until the process restarts. */
  Exposition counter(String name, String help) {
    return begin(name, "counter", help);
  }

  /** Begins a family of durations. */
  Exposition histogram(String name, String help) {
    return begin(name, "histogram", help);
  }

  private Exposition begin(String name, String type, String help) {
    family = name;
    text.append("# HELP ").append(name).append(' ').append(help).append('\n');
    text.append("# TYPE ").append(name).append(' ').append(type).append('\n');
    return this;
  }

  /**
   * Adds a sample to the family.
   *
   * @param labels names and values in turn
   */
  Exposition sample(long value, String... labels) {
    return line("", Long.toString(value), labels);
  }

  /** The same for a value that is not whole. */
  Exposition sample(double value, String... labels) {
    return line("", Double.toString(value), labels);
  }

  /** Adds a histogram to a family of them. */
  Exposition sample(Histogram histogram, String... labels) {
    String[] withBound = Arrays.copyOf(labels, labels.length + 2);
    withBound[labels.length] = "le";
    for (int i = 0; i <= Histogram.BUCKETS; i++) {
      boolean last = i == Histogram.BUCKETS;
      withBound[labels.length + 1] = last ? "+Inf" : Double.toString(Histogram.bound(i));
      line("_bucket", Long.toString(histogram.upTo(i)), withBound);
    }
    line("_sum", Double.toString(histogram.sumSeconds()), labels);
    return line("_count", Long.toString(histogram.upTo(Histogram.BUCKETS)), labels);
  }

  private Exposition line(String suffix, String value, String... labels) {
    text.append(family).append(suffix);
    for (int i = 0; i < labels.length; i += 2) {
      text.append(i == 0 ? '{' : ',').append(labels[i]).append("=\"");
      text.append(escaped(labels[i + 1])).append('"');
    }
    if (labels.length > 0) {
      text.append('}');
    }
    text.append(' ').append(value).append('\n');
    return this;
  }

  private static String escaped(String value) {
    return value.replace("\\", "\\\\").replace("\"", "\\\"").replace("\n", "\\n");
  }

  @Override
  public String toString() {
    return text.toString();
  }
}
