// SPDX-License-Identifier: Apache-2.0
package io.vmferry.api.metrics;

import com.linecorp.armeria.common.HttpResponse;
import com.linecorp.armeria.common.HttpStatus;
import com.linecorp.armeria.common.MediaType;
import com.linecorp.armeria.server.Server;
import io.vmferry.api.AcceptorGroup;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.time.Duration;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.function.Supplier;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * {@code GET /metrics} on a TCP address, for a Prometheus elsewhere. It can't be asked for anything
 * else, and has no authentication: whoever reaches the address may read.
 */
public final class MetricsServer implements AutoCloseable {
  private static final Logger log = LoggerFactory.getLogger(MetricsServer.class);

  /** A few scrapers; the control socket and guests must not suffer from more. */
  private static final int MAX_CONNECTIONS = 16;

  /** Below Prometheus' own default of 10 seconds. */
  private static final Duration TIMEOUT = Duration.ofSeconds(8);

  /** A scrape has no body. */
  private static final int MAX_REQUEST_BYTES = 4096;

  private final Server server;

  private MetricsServer(Server server) {
    this.server = server;
  }

  /**
   * Listens. Blocks until it does.
   *
   * @param text the metrics as they are when it is called
   * @throws IOException if the address can't be bound; the message names it
   */
  public static MetricsServer start(
      InetSocketAddress address, Supplier<CompletableFuture<String>> text) throws IOException {
    if (address.isUnresolved()) {
      throw new IOException(
          "can't listen for Prometheus: the host name "
              + address.getHostString()
              + " can't be resolved; correct it in vmferry.yaml");
    }
    Server server =
        Server.builder()
            .http(address)
            .requestTimeout(TIMEOUT)
            .maxNumConnections(MAX_CONNECTIONS)
            .maxRequestLength(MAX_REQUEST_BYTES)
            .bossGroupFactory(AcceptorGroup::new)
            .disableServerHeader()
            .route()
            .get("/metrics")
            .build(
                (ctx, request) ->
                    HttpResponse.of(
                        text.get()
                            .thenApply(
                                metrics ->
                                    HttpResponse.of(
                                        HttpStatus.OK,
                                        MediaType.parse(Metrics.CONTENT_TYPE),
                                        metrics))))
            .build();
    try {
      server.start().join();
    } catch (CompletionException e) {
      server.close();
      throw new IOException(
          "can't listen for Prometheus on "
              + address.getHostString()
              + ":"
              + address.getPort()
              + ": "
              + e.getCause().getMessage()
              + "; correct metrics.relay-listen or metrics.agent-listen in vmferry.yaml",
          e.getCause());
    }
    log.info("metrics can be read on http://{}:{}/metrics", address.getHostString(), port(server));
    return new MetricsServer(server);
  }

  /** The same, but a failure is only logged: metrics are not worth a guest's disk. */
  public static Optional<MetricsServer> tryStart(
      InetSocketAddress address, Supplier<CompletableFuture<String>> text) {
    try {
      return Optional.of(start(address, text));
    } catch (IOException e) {
      log.error("{}; going on without", e.getMessage());
      return Optional.empty();
    }
  }

  private static int port(Server server) {
    return server.activePort().localAddress().getPort();
  }

  /** The port it listens on. */
  public int port() {
    return port(server);
  }

  /** Stops listening; a scrape under way may end. */
  @Override
  public void close() {
    server.close();
  }
}
