// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay;

import io.vmferry.api.AgentStatus;
import java.time.Duration;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.Supplier;

/** Whether this host's agent could take a domain in: it answers, and libvirt answers it. */
final class AgentProblem {
  /** An agent that answers at all does so in milliseconds; a person waits for this. */
  private static final Duration TIMEOUT = Duration.ofSeconds(5);

  private final Supplier<CompletableFuture<AgentStatus>> agent;
  private final Duration timeout;

  AgentProblem(Supplier<CompletableFuture<AgentStatus>> agent) {
    this(agent, TIMEOUT);
  }

  AgentProblem(Supplier<CompletableFuture<AgentStatus>> agent, Duration timeout) {
    this.agent = agent;
    this.timeout = timeout;
  }

  /** What is wrong, one sentence; never fails. Completes on any thread. */
  CompletableFuture<Optional<String>> ask() {
    return agent
        .get()
        .orTimeout(timeout.toMillis(), TimeUnit.MILLISECONDS)
        .handle(
            (status, error) ->
                error == null ? Optional.ofNullable(status.problem()) : Optional.of(reason(error)));
  }

  private String reason(Throwable error) {
    Throwable cause = error instanceof CompletionException ? error.getCause() : error;
    return cause instanceof TimeoutException
        ? "the agent does not answer within "
            + timeout.toSeconds()
            + " s; look at its log with `journalctl -u vmferry-agent`"
        : cause.getMessage();
  }
}
