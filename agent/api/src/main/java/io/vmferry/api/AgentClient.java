// SPDX-License-Identifier: Apache-2.0
package io.vmferry.api;

import com.fasterxml.jackson.core.type.TypeReference;
import io.netty.handler.codec.http.HttpMethod;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.CompletableFuture;

/**
 * Asks the agent on this host, over agent.sock. Every future fails with a {@link ProblemException};
 * UNAVAILABLE means that nobody answers on the socket. Futures complete on the client's event loop:
 * don't block in their continuations. Safe for any thread.
 */
public final class AgentClient implements AutoCloseable {
  private final UnixHttpClient http;

  /**
   * Connects per request; the socket need not exist yet.
   *
   * @param socket path of agent.sock
   */
  public AgentClient(Path socket) {
    this.http =
        new UnixHttpClient("agent", socket, "start it with `systemctl start vmferry-agent`");
  }

  /** This node and its domains. */
  public CompletableFuture<AgentStatus> status() {
    return http.getJson("/v1/status", new TypeReference<>() {});
  }

  /** What the guest that uses a volume does on this host. */
  public CompletableFuture<GuestStatus> guest(String volume) {
    return http.getJson(
        "/v1/volumes/" + UnixHttpClient.encode(volume) + "/guest", new TypeReference<>() {});
  }

  /** Lets it read its configuration again; REFUSED, with nothing changed, if that is wrong. */
  public CompletableFuture<Reloaded> reload() {
    return http.json(HttpMethod.POST, "/v1/reload", null, new TypeReference<>() {});
  }

  /**
   * What happened at the agent, oldest first.
   *
   * @param after number of the last event already known, 0 for all that are kept
   */
  public CompletableFuture<List<TimelineEvent>> timeline(long after) {
    return http.getJson("/v1/timeline?after=" + after, new TypeReference<>() {});
  }

  @Override
  public void close() {
    http.close();
  }
}
