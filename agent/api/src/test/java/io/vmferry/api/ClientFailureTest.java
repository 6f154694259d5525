// SPDX-License-Identifier: Apache-2.0
package io.vmferry.api;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import io.netty.handler.codec.http.HttpMethod;
import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.file.Path;
import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A client facing no server, or one that misbehaves. */
class ClientFailureTest {
  @TempDir Path directory;
  private Path socket;
  private RelayClient relay;

  @BeforeEach
  void client() {
    socket = directory.resolve("relay.sock");
    relay = new RelayClient(socket);
  }

  @AfterEach
  void close() {
    relay.close();
  }

  private static Problem problemOf(CompletableFuture<?> answer) {
    CompletionException failure = catchThrowableOfType(CompletionException.class, answer::join);
    assertThat(failure).hasCauseInstanceOf(ProblemException.class);
    return ((ProblemException) failure.getCause()).problem();
  }

  /** Accepts one connection, reads some of the request, answers with these bytes, closes. */
  private Problem statusFrom(String answer) throws IOException {
    try (ServerSocketChannel fake = listen()) {
      CompletableFuture<RelayStatus> status = relay.status();
      try (SocketChannel connection = fake.accept()) {
        assertThat(connection.read(ByteBuffer.allocate(4096))).isPositive();
        connection.write(ByteBuffer.wrap(answer.getBytes(UTF_8)));
      }
      return problemOf(status);
    }
  }

  private ServerSocketChannel listen() throws IOException {
    return ServerSocketChannel.open(StandardProtocolFamily.UNIX)
        .bind(UnixDomainSocketAddress.of(socket));
  }

  @Test
  void noSocketSaysHowToStartTheRelay() {
    assertThat(problemOf(relay.status()))
        .isEqualTo(
            new Problem(
                Problem.Code.UNAVAILABLE,
                "the relay does not answer on "
                    + socket
                    + ": no such file or directory; start it with `systemctl start vmferry-relay`"));
  }

  @Test
  void aDeadSocketSaysSo() throws IOException {
    listen().close();
    assertThat(problemOf(relay.status()).message()).contains(socket + ": connection refused; ");
  }

  @Test
  void theAgentIsCalledByItsName() {
    try (AgentClient agent = new AgentClient(socket)) {
      assertThat(problemOf(agent.status()).message())
          .startsWith("the agent does not answer on ")
          .endsWith("`systemctl start vmferry-agent`");
    }
  }

  @Test
  void aConnectionClosedWithoutAnAnswerIsUnavailable() throws IOException {
    Problem problem = statusFrom("");
    assertThat(problem.code()).isEqualTo(Problem.Code.UNAVAILABLE);
    assertThat(problem.message()).contains("closed the connection");
  }

  @Test
  void aTruncatedAnswerIsUnavailable() throws IOException {
    Problem problem = statusFrom("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{");
    assertThat(problem.code()).isEqualTo(Problem.Code.UNAVAILABLE);
  }

  @Test
  void anAnswerThatIsNotHttpIsInternal() throws IOException {
    assertThat(statusFrom("NBDMAGIC\r\n\r\n").code()).isEqualTo(Problem.Code.INTERNAL);
  }

  @Test
  void anAnswerThatIsNotOurJsonIsInternal() throws IOException {
    Problem problem = statusFrom("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]");
    assertThat(problem.code()).isEqualTo(Problem.Code.INTERNAL);
    assertThat(problem.message()).contains("GET /v1/status").contains("version");
  }

  @Test
  void anErrorWithoutAProblemNamesTheStatus() throws IOException {
    Problem problem = statusFrom("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 2\r\n\r\n{}");
    assertThat(problem.message()).contains("502");
  }

  @Test
  void silenceEndsAtTheTimeLimit() throws IOException {
    try (ServerSocketChannel fake = listen();
        UnixHttpClient http =
            new UnixHttpClient("relay", socket, "start it", Duration.ofMillis(50))) {
      Problem problem = problemOf(http.command(HttpMethod.GET, "/", null));
      assertThat(fake.isOpen()).isTrue();
      assertThat(problem.code()).isEqualTo(Problem.Code.UNAVAILABLE);
      assertThat(problem.message()).contains("GET / took longer than");
    }
  }
}
