// SPDX-License-Identifier: Apache-2.0
package io.vmferry.coordinator.migration;

import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.Executor;
import java.util.function.Consumer;

/** The one thread that makes decisions, and its clock; both are virtual in tests. */
public interface Scheduler extends Executor {

  /** Monotonic, in nanoseconds; only differences mean something. */
  long nanoTime();

  /**
   * Runs a task later on the thread.
   *
   * @return cancels it, from the thread only; does nothing once it has run
   */
  Runnable schedule(Duration delay, Runnable task);

  /** Goes on, on the thread, with the result of a future or with the reason of its failure. */
  default <T> void then(
      CompletableFuture<T> future, Consumer<? super T> done, Consumer<String> failed) {
    var unused =
        future.whenComplete(
            (value, failure) ->
                execute(
                    () -> {
                      if (failure == null) {
                        done.accept(value);
                      } else {
                        failed.accept(reason(failure));
                      }
                    }));
  }

  /** What a failure says to people, without the wrappers that futures put around it. */
  static String reason(Throwable failure) {
    boolean wrapped = failure instanceof CompletionException && failure.getCause() != null;
    Throwable cause = wrapped ? failure.getCause() : failure;
    return cause.getMessage() == null ? cause.getClass().getSimpleName() : cause.getMessage();
  }
}
