// SPDX-License-Identifier: Apache-2.0
package io.vmferry.coordinator.migration;

import java.time.Duration;
import java.util.Comparator;
import java.util.PriorityQueue;

/** Runs tasks on the test's thread, when the test lets time go on. */
final class VirtualScheduler implements Scheduler {
  private static final int MAX_TASKS = 100_000;

  private record Task(long time, long seq, Runnable action) {}

  private final PriorityQueue<Task> tasks =
      new PriorityQueue<>(Comparator.comparingLong(Task::time).thenComparingLong(Task::seq));
  private long now = Long.MAX_VALUE - Duration.ofHours(1).toNanos();
  private long seq;

  @Override
  public long nanoTime() {
    return now;
  }

  @Override
  public void execute(Runnable action) {
    tasks.add(new Task(now, seq++, action));
  }

  @Override
  public Runnable schedule(Duration delay, Runnable action) {
    Task task = new Task(now + delay.toNanos(), seq++, action);
    tasks.add(task);
    return () -> tasks.remove(task);
  }

  /** The process that scheduled all this is dead. */
  void clear() {
    tasks.clear();
  }

  /** Runs what is due now. */
  void settle() {
    advance(Duration.ZERO);
  }

  void advance(Duration time) {
    long end = now + time.toNanos();
    for (int i = 0; i < MAX_TASKS; i++) {
      if (tasks.isEmpty() || tasks.peek().time() > end) {
        now = end;
        return;
      }
      Task task = tasks.remove();
      now = task.time();
      task.action().run();
    }
    throw new AssertionError("tasks without end");
  }
}
