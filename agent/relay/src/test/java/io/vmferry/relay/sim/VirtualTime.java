// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.sim;

import io.vmferry.relay.exec.Loop;
import java.time.Duration;
import java.time.Instant;
import java.util.Comparator;
import java.util.PriorityQueue;

/**
 * Time that passes only when there is nothing left to do. All nodes share it; each has its own
 * {@link NodeLoop}, whose tasks die with the node's process.
 */
public final class VirtualTime {
  private record Event(long at, long seq, Runnable task) {}

  private final PriorityQueue<Event> events =
      new PriorityQueue<>(Comparator.comparingLong(Event::at).thenComparingLong(Event::seq));
  private long now;
  private long lastSeq;

  public long nanoTime() {
    return now;
  }

  /** What the wall clocks of all nodes show. */
  public Instant instant() {
    return Instant.ofEpochSecond(0, now);
  }

  public void at(long delayNanos, Runnable task) {
    lastSeq++;
    events.add(new Event(now + delayNanos, lastSeq, task));
  }

  /** Runs everything due within {@code duration}. */
  public void run(Duration duration) {
    long end = now + duration.toNanos();
    while (!events.isEmpty() && events.peek().at() <= end) {
      Event event = events.remove();
      now = event.at();
      event.task().run();
    }
    now = end;
  }

  /** The loop of one life of one node's process. */
  public final class NodeLoop implements Loop {
    private boolean dead;

    public void kill() {
      dead = true;
    }

    @Override
    public void execute(Runnable task) {
      schedule(0, task);
    }

    @Override
    public boolean inLoop() {
      return true;
    }

    @Override
    public long nanoTime() {
      return now;
    }

    @Override
    public Timer after(Duration delay, Runnable task) {
      boolean[] cancelled = new boolean[1];
      schedule(
          delay.toNanos(),
          () -> {
            if (!cancelled[0]) {
              task.run();
            }
          });
      return () -> cancelled[0] = true;
    }

    void schedule(long delayNanos, Runnable task) {
      at(
          delayNanos,
          () -> {
            if (!dead) {
              task.run();
            }
          });
    }
  }
}
