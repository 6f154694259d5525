// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.volume;

import io.vmferry.relay.volume.FetchedVolume.Waiting;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Predicate;

/** Who waits for missing blocks of a volume, in the order in which they came. Loop only. */
final class Waiters {
  /** What is done for one that waits. */
  interface Range {
    void blocks(long from, long to);
  }

  private record Waiter(long from, long to, Waiting waiting) {
    boolean overlaps(long otherFrom, long otherTo) {
      return from < otherTo && otherFrom < to;
    }
  }

  private final HeldBlocks held;
  private final List<Waiter> waiters = new ArrayList<>();

  Waiters(HeldBlocks held) {
    this.held = held;
  }

  void add(long from, long to, Waiting waiting) {
    waiters.add(new Waiter(from, to, waiting));
  }

  int count() {
    return waiters.size();
  }

  /** Each one's blocks; the list may change meanwhile. */
  void forEach(Range action) {
    List.copyOf(waiters).forEach(each -> action.blocks(each.from, each.to));
  }

  /** Blocks became held: runs those that wait for nothing else. */
  void wake() {
    if (!waiters.isEmpty()) {
      take(each -> held.has(each.from, each.to)).forEach(each -> each.waiting.again());
    }
  }

  /** There is no space for these blocks: who waits for one of them is told. */
  void noSpace(long from, long to, IOException error) {
    take(each -> each.overlaps(from, to)).forEach(each -> each.waiting.full(error));
  }

  /** All of them, to look again later. */
  List<Runnable> takeAll() {
    List<Runnable> all = new ArrayList<>();
    take(each -> true).forEach(each -> all.add(each.waiting::again));
    return all;
  }

  private List<Waiter> take(Predicate<Waiter> which) {
    List<Waiter> taken = waiters.stream().filter(which).toList();
    waiters.removeIf(which);
    return taken;
  }
}
