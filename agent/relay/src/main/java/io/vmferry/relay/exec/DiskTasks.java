// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.exec;

import java.io.IOException;
import java.util.concurrent.Executor;
import java.util.function.BiConsumer;

/**
 * Runs blocking file operations on disk threads and brings the outcome back to the loop.
 *
 * @param disk where operations run
 * @param loop where outcomes are delivered
 */
public record DiskTasks(Executor disk, Loop loop) {

  /** A blocking file operation. */
  @FunctionalInterface
  public interface Operation<T> {
    T run() throws IOException;
  }

  /** Runs {@code operation}; then {@code done} on the loop with its result or its error. */
  public <T> void run(Operation<T> operation, BiConsumer<T, IOException> done) {
    disk.execute(
        () -> {
          T result;
          try {
            result = operation.run();
          } catch (IOException e) {
            loop.execute(() -> done.accept(null, e));
            return;
          } catch (RuntimeException e) {
            IOException error = new IOException("internal error in a file operation: " + e, e);
            loop.execute(() -> done.accept(null, error));
            return;
          }
          loop.execute(() -> done.accept(result, null));
        });
  }
}
