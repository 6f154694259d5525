// SPDX-License-Identifier: Apache-2.0
package io.vmferry.coordinator.migration;

import java.time.Duration;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.ScheduledFuture;
import java.util.concurrent.TimeUnit;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** The real {@link Scheduler}. A task that throws is logged; the thread goes on. */
public final class AgentThread implements Scheduler, AutoCloseable {
  private static final Logger log = LoggerFactory.getLogger(AgentThread.class);

  private final ScheduledExecutorService executor =
      Executors.newSingleThreadScheduledExecutor(task -> new Thread(task, "coordinator"));

  @Override
  public void execute(Runnable task) {
    executor.execute(guarded(task));
  }

  @Override
  public long nanoTime() {
    return System.nanoTime();
  }

  @Override
  public Runnable schedule(Duration delay, Runnable task) {
    ScheduledFuture<?> scheduled =
        executor.schedule(guarded(task), delay.toNanos(), TimeUnit.NANOSECONDS);
    return () -> scheduled.cancel(false);
  }

  private static Runnable guarded(Runnable task) {
    return () -> {
      try {
        task.run();
      } catch (RuntimeException e) {
        log.error("a decision failed, the next reconciliation makes up for it", e);
      }
    };
  }

  /** Drops what is scheduled. Tasks that come later are rejected. */
  @Override
  public void close() {
    executor.shutdownNow();
  }
}
