// SPDX-License-Identifier: Apache-2.0
package io.vmferry.api.metrics;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.URI;
import java.net.UnknownHostException;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.util.concurrent.CompletableFuture;
import org.junit.jupiter.api.Test;

class MetricsServerTest {
  private static final InetSocketAddress ANY_PORT = loopback(0);

  private static InetSocketAddress loopback(int port) {
    try {
      return new InetSocketAddress(InetAddress.getByAddress(new byte[] {127, 0, 0, 1}), port);
    } catch (UnknownHostException e) {
      throw new AssertionError("four bytes are an address", e);
    }
  }

  private static HttpResponse<String> send(int port, String method, String path) throws Exception {
    return HttpClient.newHttpClient()
        .send(
            HttpRequest.newBuilder(URI.create("http://127.0.0.1:" + port + path))
                .method(method, HttpRequest.BodyPublishers.noBody())
                .build(),
            HttpResponse.BodyHandlers.ofString());
  }

  @Test
  void answersMetricsAndNothingElse() throws Exception {
    try (MetricsServer server =
        MetricsServer.start(ANY_PORT, () -> CompletableFuture.completedFuture("vmferry_x 1\n"))) {
      HttpResponse<String> answer = send(server.port(), "GET", "/metrics");
      assertThat(answer.statusCode()).isEqualTo(200);
      assertThat(answer.body()).isEqualTo("vmferry_x 1\n");
      assertThat(answer.headers().firstValue("content-type")).contains(Metrics.CONTENT_TYPE);
      assertThat(send(server.port(), "POST", "/metrics").statusCode()).isEqualTo(405);
      assertThat(send(server.port(), "GET", "/v1/status").statusCode()).isEqualTo(404);
    }
  }

  @Test
  void aFailureIsNoMetric() throws Exception {
    try (MetricsServer server =
        MetricsServer.start(
            ANY_PORT, () -> CompletableFuture.failedFuture(new IllegalStateException("no")))) {
      assertThat(send(server.port(), "GET", "/metrics").statusCode()).isEqualTo(500);
    }
  }

  @Test
  void aHostNameThatIsNoneIsNamed() {
    InetSocketAddress unknown = InetSocketAddress.createUnresolved("no.such.host.invalid", 1);
    assertThatThrownBy(
            () -> MetricsServer.start(unknown, () -> CompletableFuture.completedFuture("")))
        .isInstanceOf(IOException.class)
        .hasMessageContaining("no.such.host.invalid can't be resolved");
  }

  @Test
  void anAddressThatIsTakenIsNamed() throws Exception {
    try (MetricsServer server =
        MetricsServer.start(ANY_PORT, () -> CompletableFuture.completedFuture(""))) {
      InetSocketAddress taken = loopback(server.port());
      assertThatThrownBy(
              () -> MetricsServer.start(taken, () -> CompletableFuture.completedFuture("")))
          .isInstanceOf(IOException.class)
          .hasMessageStartingWith("can't listen for Prometheus on 127.0.0.1:" + server.port());
      assertThat(MetricsServer.tryStart(taken, () -> CompletableFuture.completedFuture("")))
          .as("and keeps nobody from starting")
          .isEmpty();
    }
  }
}
