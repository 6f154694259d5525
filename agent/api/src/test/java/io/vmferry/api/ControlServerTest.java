// SPDX-License-Identifier: Apache-2.0
package io.vmferry.api;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import com.fasterxml.jackson.core.type.TypeReference;
import com.linecorp.armeria.server.annotation.Delete;
import com.linecorp.armeria.server.annotation.Get;
import com.linecorp.armeria.server.annotation.Param;
import com.linecorp.armeria.server.annotation.Post;
import io.netty.handler.codec.http.HttpMethod;
import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.ServerSocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermission;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.util.List;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class ControlServerTest {
  private static final Set<PosixFilePermission> OWNER_ONLY =
      PosixFilePermissions.fromString("rw-------");
  private static final TypeReference<CreateVolume> CREATE_VOLUME = new TypeReference<>() {};

  @TempDir Path directory;
  private Path socket;
  private final Service service = new Service();
  private ControlServer server;
  private UnixHttpClient client;

  /** One method for each kind of parameter, result and failure. */
  static final class Service {
    private final CompletableFuture<Void> arrived = new CompletableFuture<>();

    @Post("/echo")
    public CreateVolume echo(CreateVolume request) {
      return request;
    }

    @Get("/later/{name}")
    public CompletableFuture<List<CreateVolume>> later(@Param String name, @Param long size) {
      return CompletableFuture.supplyAsync(() -> List.of(new CreateVolume(name, size)));
    }

    @Post("/text")
    public String text(String body) {
      return "got " + body;
    }

    @Delete("/nothing")
    public CompletableFuture<Void> nothing() {
      return CompletableFuture.completedFuture(null);
    }

    @Get("/problem")
    public CompletableFuture<CreateVolume> problem(@Param Problem.Code code) {
      return CompletableFuture.failedFuture(new ProblemException(code, "it is " + code));
    }

    @Get("/slow")
    public CompletableFuture<String> slow() {
      arrived.complete(null);
      return CompletableFuture.supplyAsync(
          () -> "done", CompletableFuture.delayedExecutor(200, TimeUnit.MILLISECONDS));
    }

    @Get("/never")
    public CompletableFuture<CreateVolume> never() {
      return new CompletableFuture<>();
    }

    @Get("/bug")
    public CompletableFuture<CreateVolume> bug() {
      return CompletableFuture.failedFuture(new IllegalStateException("broken"));
    }
  }

  @BeforeEach
  void start() throws IOException {
    socket = directory.resolve("relay.sock");
    server = ControlServer.start(socket, OWNER_ONLY, service);
    client = new UnixHttpClient("relay", socket, "start it");
  }

  @AfterEach
  void stop() {
    client.close();
    server.close();
  }

  private Problem problemOf(CompletableFuture<?> answer) {
    CompletionException failure = catchThrowableOfType(CompletionException.class, answer::join);
    assertThat(failure).hasCauseInstanceOf(ProblemException.class);
    return ((ProblemException) failure.getCause()).problem();
  }

  private CompletableFuture<CreateVolume> postRaw(String body) {
    return client.text(HttpMethod.POST, "/echo", body).thenApply(text -> null);
  }

  @Test
  void recordsGoBothWays() {
    CreateVolume request = new CreateVolume("disk-ü", 1L << 53);
    assertThat(client.json(HttpMethod.POST, "/echo", request, CREATE_VOLUME).join())
        .isEqualTo(request);
  }

  @Test
  void futuresAndParametersWork() {
    String name = "a b/c%d?e";
    String path = "/later/" + UnixHttpClient.encode(name) + "?size=5";
    assertThat(client.getJson(path, new TypeReference<List<CreateVolume>>() {}).join())
        .containsExactly(new CreateVolume(name, 5));
  }

  @Test
  void textGoesBothWays() {
    assertThat(client.text(HttpMethod.POST, "/text", "<domain name='ü'/>").join())
        .isEqualTo("got <domain name='ü'/>");
  }

  @Test
  void noResultIsSuccess() {
    assertThat(client.command(HttpMethod.DELETE, "/nothing", null).join()).isNull();
  }

  @ParameterizedTest
  @EnumSource(Problem.Code.class)
  void aProblemArrivesAsItself(Problem.Code code) {
    assertThat(problemOf(client.getJson("/problem?code=" + code, CREATE_VOLUME)))
        .isEqualTo(new Problem(code, "it is " + code));
  }

  @Test
  void eachCodeHasItsStatus() {
    assertThat(Problem.Code.values())
        .extracting(code -> ProblemStatus.of(code).code())
        .containsExactly(400, 404, 409, 409, 409, 409, 409, 409, 503, 500);
  }

  @Test
  void aBugIsInternalAndNamesTheCause() {
    Problem problem = problemOf(client.getJson("/bug", CREATE_VOLUME));
    assertThat(problem.code()).isEqualTo(Problem.Code.INTERNAL);
    assertThat(problem.message()).contains("GET /bug").contains("broken");
  }

  @Test
  void aRequestThatTakesTooLongIsUnavailable() throws IOException {
    Path slow = directory.resolve("slow.sock");
    try (ControlServer impatient =
            ControlServer.start(slow, OWNER_ONLY, Duration.ofMillis(50), new Service());
        UnixHttpClient other = new UnixHttpClient("relay", slow, "start it")) {
      Problem problem = problemOf(other.getJson("/never", CREATE_VOLUME));
      assertThat(impatient.socket()).isEqualTo(slow);
      assertThat(problem.code()).isEqualTo(Problem.Code.UNAVAILABLE);
      assertThat(problem.message()).startsWith("GET /never took longer than ");
    }
  }

  @Test
  void anUnknownFieldIsABadRequestThatNamesIt() {
    Problem problem = problemOf(postRaw("{\"name\":\"a\",\"size\":1,\"colour\":2}"));
    assertThat(problem.code()).isEqualTo(Problem.Code.BAD_REQUEST);
    assertThat(problem.message()).contains("colour").doesNotContain("\n");
  }

  @Test
  void anEmptyBodyIsABadRequest() {
    assertThat(problemOf(postRaw("")).code()).isEqualTo(Problem.Code.BAD_REQUEST);
  }

  @Test
  void aMissingOrWrongParameterIsABadRequest() {
    assertThat(problemOf(client.getJson("/later/a", CREATE_VOLUME)).code())
        .isEqualTo(Problem.Code.BAD_REQUEST);
    assertThat(problemOf(client.getJson("/later/a?size=many", CREATE_VOLUME)).code())
        .isEqualTo(Problem.Code.BAD_REQUEST);
  }

  @Test
  void anUnknownPathIsNotFound() {
    assertThat(problemOf(client.getJson("/v9/status", CREATE_VOLUME)).code())
        .isEqualTo(Problem.Code.NOT_FOUND);
  }

  @Test
  void aWrongMethodIsABadRequest() {
    assertThat(problemOf(client.command(HttpMethod.PUT, "/echo", null)).code())
        .isEqualTo(Problem.Code.BAD_REQUEST);
  }

  @Test
  void aBodyThatIsTooLongIsABadRequest() {
    String body = "x".repeat(ControlServer.MAX_REQUEST_BYTES + 1);
    assertThat(problemOf(client.text(HttpMethod.POST, "/text", body)).code())
        .isEqualTo(Problem.Code.BAD_REQUEST);
  }

  @Test
  void theSocketHasTheModeAndNothingElseIsLeft() throws IOException {
    assertThat(Files.getPosixFilePermissions(socket)).isEqualTo(OWNER_ONLY);
    assertThat(directory).isDirectoryContaining(socket::equals);
    try (var files = Files.list(directory)) {
      assertThat(files).containsExactly(socket);
    }
  }

  @Test
  void aSocketInUseIsRefused() {
    assertThatThrownBy(() -> ControlServer.start(socket, OWNER_ONLY, new Service()))
        .isInstanceOf(IOException.class)
        .hasMessageContaining(socket.toString())
        .hasMessageContaining("another process");
    assertThat(client.text(HttpMethod.POST, "/text", "still there").join())
        .isEqualTo("got still there");
  }

  @Test
  void aStaleSocketIsReplaced() throws IOException {
    Path stale = directory.resolve("stale.sock");
    try (ServerSocketChannel dead = ServerSocketChannel.open(StandardProtocolFamily.UNIX)) {
      dead.bind(UnixDomainSocketAddress.of(stale));
    }
    assertThat(stale).exists();
    try (ControlServer second = ControlServer.start(stale, OWNER_ONLY, new Service());
        UnixHttpClient other = new UnixHttpClient("relay", stale, "start it")) {
      assertThat(second.socket()).isEqualTo(stale);
      assertThat(other.text(HttpMethod.POST, "/text", "x").join()).isEqualTo("got x");
    }
  }

  @Test
  void aFileThatIsNotASocketIsRefusedAndKept() throws IOException {
    Path file = Files.writeString(directory.resolve("file"), "precious", UTF_8);
    assertThatThrownBy(() -> ControlServer.start(file, OWNER_ONLY, new Service()))
        .isInstanceOf(IOException.class)
        .hasMessageContaining("not a socket");
    assertThat(file).hasContent("precious");
  }

  @Test
  void aMissingDirectoryIsRefused() {
    Path nowhere = directory.resolve("missing/relay.sock");
    assertThatThrownBy(() -> ControlServer.start(nowhere, OWNER_ONLY, new Service()))
        .isInstanceOf(IOException.class)
        .hasMessageContaining("missing");
  }

  @Test
  void aPathThatIsTooLongIsRefusedAndNothingIsLeft() throws IOException {
    Path deep = Files.createDirectory(directory.resolve("d".repeat(110)));
    assertThatThrownBy(
            () -> ControlServer.start(deep.resolve("relay.sock"), OWNER_ONLY, new Service()))
        .isInstanceOf(IOException.class);
    assertThat(deep).isEmptyDirectory();
  }

  @Test
  void closingRemovesTheSocket() {
    server.close();
    assertThat(socket).doesNotExist();
  }

  @Test
  void closingWaitsForARequestThatRuns() {
    CompletableFuture<String> answer = client.text(HttpMethod.GET, "/slow", "");
    service.arrived.join();
    server.close();
    assertThat(answer.join()).isEqualTo("done");
  }

  @Test
  void closingLeavesASuccessorsSocketAlone() throws IOException {
    Files.delete(socket);
    try (ControlServer successor = ControlServer.start(socket, OWNER_ONLY, new Service())) {
      server.close();
      assertThat(successor.socket()).exists();
      assertThat(client.text(HttpMethod.POST, "/text", "x").join()).isEqualTo("got x");
    }
  }
}
