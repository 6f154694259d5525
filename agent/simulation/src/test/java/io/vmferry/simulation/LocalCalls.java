// SPDX-License-Identifier: Apache-2.0
package io.vmferry.simulation;

import io.vmferry.api.Problem;
import io.vmferry.api.ProblemException;
import java.time.Duration;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.function.Supplier;

/**
 * Requests from one process of a host to another over a Unix socket: each way takes a moment, and
 * the end of the one that answers ends what is under way.
 */
final class LocalCalls {
  private static final int WAY_NANOS = 2_000_000;

  /** The limit of a request on the control sockets. */
  private static final Duration LIMIT = Duration.ofSeconds(60);

  private final World world;
  private final String to;
  private final Set<CompletableFuture<?>> open = new LinkedHashSet<>();

  /**
   * @param to who answers, for people
   */
  LocalCalls(World world, String to) {
    this.world = world;
    this.to = to;
  }

  /**
   * Asks.
   *
   * @param service null if nobody answers now
   */
  <T> CompletableFuture<T> ask(Supplier<CompletableFuture<T>> service) {
    CompletableFuture<T> answer = new CompletableFuture<>();
    if (service == null) {
      world.later(WAY_NANOS, () -> answer.completeExceptionally(gone()));
      return answer;
    }
    open.add(answer);
    world.later(WAY_NANOS, () -> carryOut(service, answer));
    world.after(LIMIT, () -> end(answer));
    return answer;
  }

  private <T> void carryOut(Supplier<CompletableFuture<T>> service, CompletableFuture<T> answer) {
    if (!open.contains(answer)) {
      return;
    }
    CompletableFuture<T> result;
    try {
      result = service.get();
    } catch (RuntimeException e) {
      result = CompletableFuture.failedFuture(e);
    }
    var unused =
        result.whenComplete(
            (value, error) -> world.later(WAY_NANOS, () -> reply(answer, value, error)));
  }

  private <T> void reply(CompletableFuture<T> answer, T value, Throwable error) {
    if (!open.remove(answer)) {
      return;
    }
    if (error == null) {
      answer.complete(value);
    } else {
      answer.completeExceptionally(problem(error));
    }
  }

  private static ProblemException problem(Throwable error) {
    Throwable cause = error instanceof CompletionException ? error.getCause() : error;
    return cause instanceof ProblemException problem
        ? problem
        : new ProblemException(Problem.Code.INTERNAL, String.valueOf(cause));
  }

  private ProblemException gone() {
    return new ProblemException(Problem.Code.UNAVAILABLE, "the " + to + " does not answer");
  }

  private void end(CompletableFuture<?> answer) {
    if (open.remove(answer)) {
      answer.completeExceptionally(gone());
    }
  }

  /** The process that answers has ended. */
  void serverEnded() {
    List<CompletableFuture<?>> lost = List.copyOf(open);
    open.clear();
    lost.forEach(answer -> world.later(WAY_NANOS, () -> answer.completeExceptionally(gone())));
  }
}
