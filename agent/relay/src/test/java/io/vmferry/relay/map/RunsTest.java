// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.map;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

final class RunsTest {

  private final HeapBlockMap map = HeapBlockMap.allClear(100);
  private final List<String> seen = new ArrayList<>();

  private boolean walk(long from, long to, boolean set, int atMost) {
    return Runs.forEach(
        map,
        from,
        to,
        set,
        (runFrom, runTo) -> {
          seen.add(runFrom + "-" + runTo);
          return seen.size() < atMost;
        });
  }

  @Test
  void cutsRunsAtTheBordersOfTheRange() {
    map.set(10, 20);
    map.set(30, 40);

    assertThat(walk(15, 35, true, 9)).isTrue();
    assertThat(seen).containsExactly("15-20", "30-35");
  }

  @Test
  void walksClearRuns() {
    map.set(10, 20);

    walk(0, 100, false, 9);
    assertThat(seen).containsExactly("0-10", "20-100");
  }

  @Test
  void stopsWhenToldTo() {
    map.set(10, 20);
    map.set(30, 40);

    assertThat(walk(0, 100, true, 1)).isFalse();
    assertThat(seen).containsExactly("10-20");
  }
}
