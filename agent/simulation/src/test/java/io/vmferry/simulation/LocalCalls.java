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
  private final Set<Call<?>> open = new LinkedHashSet<>();

  /** A request that is not answered yet. */
  private static final class Call<T> {
    private final CompletableFuture<T> answer = new CompletableFuture<>();
  }

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
    Call<T> call = new Call<>();
    if (service == null) {
      world.later(WAY_NANOS, () -> call.answer.completeExceptionally(gone()));
      return call.answer;
    }
    open.add(call);
    world.later(WAY_NANOS, () -> carryOut(service, call));
    world.after(
        LIMIT,
        () -> {
          if (open.remove(call)) {
            call.answer.completeExceptionally(gone());
          }
        });
    return call.answer;
  }

  private <T> void carryOut(Supplier<CompletableFuture<T>> service, Call<T> call) {
    if (!open.contains(call)) {
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
            (value, error) -> world.later(WAY_NANOS, () -> reply(call, value, error)));
  }

  private <T> void reply(Call<T> call, T value, Throwable error) {
    if (!open.remove(call)) {
      return;
    }
    if (error == null) {
      call.answer.complete(value);
    } else {
      call.answer.completeExceptionally(problem(error));
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

  /** The process that answers has ended. */
  void serverEnded() {
    List<Call<?>> lost = List.copyOf(open);
    open.clear();
    lost.forEach(call -> world.later(WAY_NANOS, () -> call.answer.completeExceptionally(gone())));
  }
}
