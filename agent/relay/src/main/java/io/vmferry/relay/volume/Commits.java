// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.volume;

import io.vmferry.relay.exec.DiskTasks;
import java.io.IOException;
import java.util.ArrayDeque;
import java.util.Queue;
import java.util.function.BiConsumer;
import java.util.function.Supplier;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The order of all changes of durable records at this node: one at a time. Each is worked out from
 * the records as they are when its turn comes, made durable, and applied before the next begins, so
 * that none is lost. Loop only.
 */
public final class Commits {
  private static final Logger log = LoggerFactory.getLogger(Commits.class);

  private final DiskTasks tasks;
  private final Queue<Runnable> turns = new ArrayDeque<>();
  private boolean running;

  public Commits(DiskTasks tasks) {
    this.tasks = tasks;
  }

  /**
   * Queues a change.
   *
   * @param plan called on the loop when the turn comes; returns what to do on disk, or null for
   *     nothing; what it throws fails the change
   * @param applied called on the loop before the next turn; with null and null if there was no plan
   */
  public <T> void submit(
      Supplier<DiskTasks.Operation<T>> plan, BiConsumer<T, IOException> applied) {
    turns.add(
        () -> {
          DiskTasks.Operation<T> operation;
          try {
            operation = plan.get();
          } catch (RuntimeException e) {
            log.error("a change of records was not planned", e);
            end(applied, null, new IOException("internal error: " + e.getMessage(), e));
            return;
          }
          if (operation == null) {
            end(applied, null, null);
          } else {
            tasks.run(operation, (result, error) -> end(applied, result, error));
          }
        });
    if (!running) {
      running = true;
      next();
    }
  }

  /** One broken change must not stop all others. */
  private <T> void end(BiConsumer<T, IOException> applied, T result, IOException error) {
    try {
      applied.accept(result, error);
    } catch (RuntimeException e) {
      log.error("a change of records was not applied", e);
    } finally {
      next();
    }
  }

  private void next() {
    Runnable turn = turns.poll();
    if (turn == null) {
      running = false;
    } else {
      turn.run();
    }
  }
}
