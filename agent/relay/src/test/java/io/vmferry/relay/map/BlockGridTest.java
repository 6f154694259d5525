// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.map;

import static org.assertj.core.api.Assertions.assertThat;

import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import org.junit.jupiter.api.Test;

/** Against a grid that looks at every byte. */
final class BlockGridTest {
  private static final int BLOCK = BlockGrid.BLOCK;

  @Property(tries = 300)
  void agreesWithCounting(
      @ForAll @IntRange(min = 1, max = 5 * BLOCK) int size,
      @ForAll @IntRange(max = 5 * BLOCK) int start,
      @ForAll @IntRange(max = 5 * BLOCK) int stop) {
    BlockGrid grid = new BlockGrid(size);
    int from = Math.min(Math.min(start, stop), size);
    int to = Math.min(Math.max(start, stop), size);
    int blocks = 0;
    while (blocks * BLOCK < size) {
      blocks++;
    }
    assertThat(grid.blocks()).isEqualTo(blocks);
    for (int block = 0; block < blocks; block++) {
      int first = block * BLOCK;
      int end = Math.min(first + BLOCK, size);
      boolean touched = from < end && first < to;
      boolean covered = from <= first && end <= to;
      if (from < to) {
        assertThat(BlockGrid.blockAt(from) <= block && block < BlockGrid.blockAfter(to))
            .as("touched %d", block)
            .isEqualTo(touched);
      }
      assertThat(grid.firstCovered(from) <= block && block < grid.endCovered(to))
          .as("covered %d", block)
          .isEqualTo(covered);
      assertThat(grid.bytes(block, block + 1)).isEqualTo(end - first);
    }
  }

  @Test
  void reaches16TiBWithoutOverflow() {
    BlockGrid grid = new BlockGrid((1L << 44) - 1);
    assertThat(grid.blocks()).isEqualTo(1L << 32);
    assertThat(grid.offsetOf(grid.blocks())).isEqualTo((1L << 44) - 1);
    assertThat(grid.bytes(grid.blocks() - 1, grid.blocks())).isEqualTo(BLOCK - 1);
  }
}
