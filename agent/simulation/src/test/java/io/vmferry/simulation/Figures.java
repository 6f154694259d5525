// SPDX-License-Identifier: Apache-2.0
package io.vmferry.simulation;

import java.util.Map;
import java.util.TreeMap;

/**
 * What happened in some runs.
 *
 * @param faults by kind
 * @param starts of the domain, by the operator
 */
record Figures(long seeds, long operations, long moves, Map<String, Long> faults, long starts) {
  static final Figures NONE = new Figures(0, 0, 0, Map.of(), 0);

  Figures {
    faults = new TreeMap<>(faults);
  }

  Figures plus(Figures more) {
    Map<String, Long> sum = new TreeMap<>(faults);
    more.faults.forEach((kind, count) -> sum.merge(kind, count, Long::sum));
    return new Figures(
        seeds + more.seeds,
        operations + more.operations,
        moves + more.moves,
        sum,
        starts + more.starts);
  }

  /** As {@code tests/simulate} reads it. */
  @Override
  public String toString() {
    StringBuilder text = new StringBuilder();
    text.append("operations=").append(operations).append(" moves=").append(moves);
    text.append(" starts=").append(starts);
    faults.forEach((kind, count) -> text.append(' ').append(kind).append('=').append(count));
    return text.toString();
  }
}
