// SPDX-License-Identifier: Apache-2.0
package io.vmferry.nbd.client;

import java.util.Map;
import java.util.TreeMap;

/**
 * Which parts of one read have arrived. Chunks may come in any order, but may neither overlap nor
 * leave anything out.
 */
final class Coverage {
  /** Parts with gaps between them; a server that sends more at a time is not serious. */
  static final int MAX_PARTS = 1024;

  /** End of each part by its beginning; neighbours are joined. */
  private final TreeMap<Integer, Integer> parts = new TreeMap<>();

  /** Adds {@code [from, to)}, which isn't empty. Returns what is wrong with it, or null. */
  String add(int from, int to) {
    Map.Entry<Integer, Integer> before = parts.floorEntry(to - 1);
    if (before != null && before.getValue() > from) {
      return "the same bytes twice";
    }
    int begin = from;
    int end = to;
    if (before != null && before.getValue() == from) {
      begin = before.getKey();
    }
    Integer after = parts.remove(to);
    if (after != null) {
      end = after;
    }
    parts.put(begin, end);
    return parts.size() > MAX_PARTS
        ? "a read in more than " + MAX_PARTS + " scattered parts"
        : null;
  }

  /** Whether all of {@code [0, length)} is here. */
  boolean isWhole(int length) {
    return parts.size() == 1 && parts.firstKey() == 0 && parts.firstEntry().getValue() == length;
  }
}
