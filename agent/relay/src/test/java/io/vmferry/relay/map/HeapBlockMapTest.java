// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.map;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.time.Duration;
import org.junit.jupiter.api.Assertions;
import org.junit.jupiter.api.Test;

final class HeapBlockMapTest {

  private static final long TIB = (1L << 40) / 4096;

  @Test
  void refusesRangesOutsideTheMap() {
    HeapBlockMap map = HeapBlockMap.allClear(100);

    assertThatThrownBy(() -> map.set(50, 101)).isInstanceOf(IndexOutOfBoundsException.class);
    assertThatThrownBy(() -> map.clear(-1, 5)).isInstanceOf(IndexOutOfBoundsException.class);
    assertThatThrownBy(() -> map.set(6, 5)).isInstanceOf(IndexOutOfBoundsException.class);
    assertThatThrownBy(() -> map.get(100)).isInstanceOf(IndexOutOfBoundsException.class);
    assertThatThrownBy(() -> map.nextSet(101)).isInstanceOf(IndexOutOfBoundsException.class);
    assertThatThrownBy(() -> map.nextClear(-1)).isInstanceOf(IndexOutOfBoundsException.class);
    assertThatThrownBy(() -> map.count(0, 101)).isInstanceOf(IndexOutOfBoundsException.class);
    assertThat(map.cardinality()).isZero();
  }

  @Test
  void refusesMoreThan16TiB() {
    assertThatThrownBy(() -> HeapBlockMap.allClear((1L << 32) + 1))
        .isInstanceOf(IllegalArgumentException.class);
    assertThat(HeapBlockMap.allSet(1L << 32).cardinality()).isEqualTo(1L << 32);
  }

  @Test
  void anEmptyMapHasNothing() {
    HeapBlockMap map = HeapBlockMap.allSet(0);

    assertThat(map.nextSet(0)).isZero();
    assertThat(map.nextClear(0)).isZero();
    assertThat(map.allSet(0, 0)).isTrue();
  }

  @Test
  void copiesAreIndependent() {
    HeapBlockMap map = HeapBlockMap.allClear(100);
    map.set(10, 20);
    HeapBlockMap copy = HeapBlockMap.copyOf(map);
    map.clear(0, 100);

    assertThat(copy.cardinality()).isEqualTo(10);
  }

  @Test
  void aTebibyteIsMadeAndWalkedInMilliseconds() {
    // 20 rounds take about 20 ms; bit by bit they would take 10 s, so a busy machine is no matter.
    Assertions.assertTimeout(
        Duration.ofSeconds(2),
        () -> {
          for (int round = 0; round < 20; round++) {
            HeapBlockMap map = HeapBlockMap.allSet(TIB);
            map.clear(TIB - 5, TIB - 3);
            assertThat(map.nextClear(0)).isEqualTo(TIB - 5);
            assertThat(map.nextSet(TIB - 5)).isEqualTo(TIB - 3);
            assertThat(map.count(1, TIB - 1)).isEqualTo(TIB - 4);
          }
        });
  }

  @Test
  void uniformChunksHaveNoMemoryEvenAfterSingleChanges() {
    long before = usedHeap();
    HeapBlockMap map = HeapBlockMap.allClear(TIB);
    for (long block = 0; block < TIB; block += ChunkedBlockMap.CHUNK_BLOCKS) {
      map.set(block, block + 1);
      map.clear(block, block + 1);
    }
    long after = usedHeap();

    assertThat(map.cardinality()).isZero();
    assertThat(after - before).isLessThan(4 << 20); // bits of all chunks would be 32 MiB
  }

  private static long usedHeap() {
    Runtime runtime = Runtime.getRuntime();
    System.gc();
    return runtime.totalMemory() - runtime.freeMemory();
  }
}
