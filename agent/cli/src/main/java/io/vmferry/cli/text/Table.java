// SPDX-License-Identifier: Apache-2.0
package io.vmferry.cli.text;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/** Columns as wide as their widest cell. A row may be followed by notes that belong to it. */
public final class Table {
  /** Which side of a column its cells are flush with. */
  public enum Align {
    LEFT,
    RIGHT
  }

  private static final String GAP = "  ";

  private final List<String> titles = new ArrayList<>();
  private final List<Align> aligns = new ArrayList<>();
  private final List<Line> lines = new ArrayList<>();

  private sealed interface Line {}

  private record Row(List<String> cells) implements Line {}

  private record Note(String text) implements Line {}

  /** Adds a column. */
  public Table column(String title, Align align) {
    titles.add(title);
    aligns.add(align);
    return this;
  }

  /**
   * Adds a row.
   *
   * @throws IllegalArgumentException if it hasn't one cell per column
   */
  public Table row(String... cells) {
    if (cells.length != titles.size()) {
      throw new IllegalArgumentException(
          cells.length + " cells for " + titles.size() + " columns: " + Arrays.toString(cells));
    }
    lines.add(new Row(List.of(cells)));
    return this;
  }

  /** Adds an indented line below the last row; it may be wider than the table. */
  public Table note(String text) {
    lines.add(new Note(text));
    return this;
  }

  /** Titles and rows, each line without trailing blanks. */
  public List<String> render() {
    int[] widths = titles.stream().mapToInt(String::length).toArray();
    for (Line line : lines) {
      if (line instanceof Row row) {
        for (int i = 0; i < widths.length; i++) {
          widths[i] = Math.max(widths[i], row.cells().get(i).length());
        }
      }
    }
    List<String> text = new ArrayList<>();
    text.add(join(titles, widths));
    for (Line line : lines) {
      text.add(
          line instanceof Row row
              ? join(row.cells(), widths)
              : GAP.repeat(2) + ((Note) line).text());
    }
    return text;
  }

  private String join(List<String> cells, int[] widths) {
    StringBuilder line = new StringBuilder();
    for (int i = 0; i < widths.length; i++) {
      String padding = " ".repeat(widths[i] - cells.get(i).length());
      line.append(i == 0 ? "" : GAP);
      if (aligns.get(i) == Align.RIGHT) {
        line.append(padding).append(cells.get(i));
      } else {
        line.append(cells.get(i)).append(padding);
      }
    }
    return line.toString().stripTrailing();
  }
}
