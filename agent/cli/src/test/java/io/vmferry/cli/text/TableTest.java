// SPDX-License-Identifier: Apache-2.0
package io.vmferry.cli.text;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.vmferry.cli.text.Table.Align;
import org.junit.jupiter.api.Test;

class TableTest {
  private final Table table =
      new Table().column("NAME", Align.LEFT).column("SIZE", Align.RIGHT).column("X", Align.LEFT);

  @Test
  void columnsAreAsWideAsTheirWidestCell() {
    assertThat(table.row("a", "1", "x").row("longer", "12345", "y").render())
        .containsExactly(
            "NAME     SIZE  X", //
            "a           1  x",
            "longer  12345  y");
  }

  @Test
  void titlesStandAlone() {
    assertThat(table.render()).containsExactly("NAME  SIZE  X");
  }

  @Test
  void noLineEndsInBlanks() {
    assertThat(table.row("a", "1", "").render()).last().isEqualTo("a        1");
  }

  @Test
  void notesDoNotWidenColumns() {
    assertThat(table.row("a", "1", "x").note("a sentence wider than all columns").render())
        .containsExactly(
            "NAME  SIZE  X", //
            "a        1  x",
            "    a sentence wider than all columns");
  }

  @Test
  void aRowHasOneCellPerColumn() {
    assertThatThrownBy(() -> table.row("a", "1")).isInstanceOf(IllegalArgumentException.class);
  }
}
