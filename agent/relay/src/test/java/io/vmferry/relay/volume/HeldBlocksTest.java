// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.volume;

import static org.assertj.core.api.Assertions.assertThat;

import io.vmferry.relay.map.BlockGrid;
import io.vmferry.relay.map.BlockMap;
import io.vmferry.relay.map.HeapBlockMap;
import org.junit.jupiter.api.Test;

final class HeldBlocksTest {
  private static final int BLOCK = BlockGrid.BLOCK;

  /** Four blocks, the last of 100 bytes. */
  private final BlockGrid grid = new BlockGrid(3 * BLOCK + 100);

  private HeldBlocks tracked(long from, long to) {
    BlockMap live = HeapBlockMap.allClear(4);
    live.set(from, to);
    return HeldBlocks.tracked(grid, live, HeapBlockMap.copyOf(live));
  }

  @Test
  void aCompleteReplicaHasAllAndKeepsNoMap() {
    HeldBlocks all = HeldBlocks.all(grid);
    assertThat(all.isComplete()).isTrue();
    assertThat(all.isFull()).isTrue();
    assertThat(all.has(0, 4)).isTrue();
    assertThat(all.nextMissing(0)).isEqualTo(4);
    assertThat(all.nextHeld(2)).isEqualTo(2);
    assertThat(all.hold(0, 4)).isZero();
    assertThat(all.takePending()).isNull();
    assertThat(all.bytes()).isEqualTo(grid.size());
    assertThat(all.snapshot().cardinality()).isEqualTo(4);
  }

  @Test
  void theShortLastBlockCountsWithItsBytes() {
    assertThat(tracked(3, 4).bytes()).isEqualTo(100);
    assertThat(tracked(0, 3).bytes()).isEqualTo(3 * BLOCK);
    assertThat(tracked(0, 4).bytes()).isEqualTo(grid.size());
  }

  @Test
  void onlyNewBlocksCountAndBecomePending() {
    HeldBlocks held = tracked(0, 2);
    assertThat(held.takePending()).isNull();
    assertThat(held.hold(0, 2)).isZero();
    assertThat(held.takePending()).isNull();
    assertThat(held.hold(1, 3)).isEqualTo(1);
    assertThat(held.takePending().get(2)).isTrue();
    assertThat(held.takePending()).isNull();
  }

  @Test
  void whatCouldNotBeMadeDurableIsPendingAgain() {
    HeldBlocks held = HeldBlocks.none(grid);
    held.hold(0, 1);
    BlockMap taken = held.takePending();
    held.hold(2, 3);
    held.giveBack(taken);
    BlockMap again = held.takePending();
    assertThat(again.get(0)).isTrue();
    assertThat(again.get(2)).isTrue();
    assertThat(again.cardinality()).isEqualTo(2);
  }

  @Test
  void blocksThatOnlyTheLiveMapHasArePendingAtStart() {
    BlockMap live = HeapBlockMap.allClear(4);
    live.set(0, 4);
    BlockMap durable = HeapBlockMap.allClear(4);
    durable.set(1, 2);
    durable.set(3, 4);
    BlockMap pending = HeldBlocks.tracked(grid, live, durable).takePending();
    assertThat(pending.get(0)).isTrue();
    assertThat(pending.get(1)).isFalse();
    assertThat(pending.get(2)).isTrue();
    assertThat(pending.get(3)).isFalse();
  }

  @Test
  void isFullBeforeItIsComplete() {
    HeldBlocks held = tracked(0, 3);
    assertThat(held.isFull()).isFalse();
    held.hold(3, 4);
    assertThat(held.isFull()).isTrue();
    assertThat(held.isComplete()).isFalse();
    held.becomeComplete();
    assertThat(held.isComplete()).isTrue();
  }

  @Test
  void theSnapshotIsACopy() {
    HeldBlocks held = tracked(0, 1);
    BlockMap snapshot = held.snapshot();
    held.hold(1, 2);
    assertThat(snapshot.get(1)).isFalse();
  }
}
