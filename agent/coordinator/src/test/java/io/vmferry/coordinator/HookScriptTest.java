// SPDX-License-Identifier: Apache-2.0
package io.vmferry.coordinator;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.tuple;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import com.linecorp.armeria.common.HttpResponse;
import com.linecorp.armeria.common.HttpStatus;
import com.linecorp.armeria.common.MediaType;
import com.linecorp.armeria.server.annotation.Param;
import com.linecorp.armeria.server.annotation.Post;
import io.vmferry.api.ControlServer;
import io.vmferry.coordinator.HookScript.Result;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/** The script in {@code libvirt-hooks}, run as libvirt runs it, against an agent made here. */
class HookScriptTest {
  /** Starting a shell and cat takes 2 to 5 ms; this is for a busy test machine. */
  private static final Duration QUICK = Duration.ofMillis(100);

  @TempDir Path directory;

  // Shared, because stopping a server takes seconds.
  @TempDir static Path agentDirectory;
  private static final FakeAgent agent = new FakeAgent();
  private static ControlServer server;

  private Path run;
  private String path = System.getenv("PATH");
  private String shell = "/bin/sh";

  private record Call(
      String domain, String operation, String subOperation, String extra, String xml) {}

  /** Answers as it is told. */
  static final class FakeAgent {
    final List<Call> calls = new CopyOnWriteArrayList<>();
    volatile HttpStatus status = HttpStatus.OK;
    volatile String text = "";

    @Post("/v1/hooks/qemu/{domain}/{operation}/{subOperation}")
    public HttpResponse hook(
        @Param String domain,
        @Param String operation,
        @Param String subOperation,
        @Param String extra,
        String xml) {
      calls.add(new Call(domain, operation, subOperation, extra, xml));
      return HttpResponse.of(status, MediaType.PLAIN_TEXT_UTF_8, text);
    }
  }

  @BeforeAll
  static void startServer() throws IOException {
    server =
        ControlServer.start(
            agentDirectory.resolve("agent.sock"),
            PosixFilePermissions.fromString("rw-------"),
            agent);
  }

  @AfterAll
  static void stopServer() {
    server.close();
  }

  @BeforeEach
  void noAgent() {
    run = directory;
    agent.calls.clear();
    agent.status = HttpStatus.OK;
    agent.text = "";
  }

  /** Without this, there is no agent. */
  private void startAgent() {
    run = agentDirectory;
  }

  private String xml() {
    return "<domain>\n  <source protocol='nbd'><host transport='unix' socket='"
        + run.resolve("nbd.sock")
        + "'/></source>\n</domain>\n";
  }

  private Result hook(String xml, String... arguments) throws Exception {
    return HookScript.run(shell, path, run, directory, xml, arguments);
  }

  /** A directory that holds cat and whatever the test adds. */
  private Path barePath() throws IOException {
    Path bin = Files.createDirectory(directory.resolve("bin"));
    Files.createSymbolicLink(bin.resolve("cat"), Path.of("/bin/cat"));
    path = bin.toString();
    return bin;
  }

  private void curl(String script) throws IOException {
    Path curl = Files.writeString(barePath().resolve("curl"), "#!/bin/sh\n" + script + "\n");
    Files.setPosixFilePermissions(curl, PosixFilePermissions.fromString("rwx------"));
  }

  private static Result passed() {
    return new Result(0, "", "");
  }

  @ParameterizedTest
  @ValueSource(strings = {"migrate", "prepare", "start"})
  void passesWhenTheAgentAgrees(String operation) throws Exception {
    startAgent();

    assertThat(hook(xml(), "vm", operation, "begin", "-")).isEqualTo(passed());
    assertThat(agent.calls).extracting(Call::operation).containsExactly(operation);
  }

  @ParameterizedTest
  @CsvSource({"started, begin", "stopped, end", "release, end"})
  void reportsWhatHappened(String operation, String subOperation) throws Exception {
    startAgent();

    assertThat(hook(xml(), "vm", operation, subOperation, "-")).isEqualTo(passed());
    assertThat(agent.calls)
        .extracting(Call::operation, Call::subOperation)
        .containsExactly(tuple(operation, subOperation));
  }

  @Test
  void handsOverNameReasonAndXmlUnchanged() throws Exception {
    startAgent();
    String name = "a b%2F?#&é\"'$(x)`";

    hook(xml(), name, "release", "end", "shut down/now");

    // The shell drops newlines at the end.
    assertThat(agent.calls)
        .containsExactly(new Call(name, "release", "end", "shut down/now", xml().stripTrailing()));
  }

  @Test
  void handsOverLargeXml() throws Exception {
    startAgent();
    String large = xml() + "<!--" + "x".repeat(2 << 20) + "-->";

    assertThat(hook(large, "vm", "migrate", "begin", "-")).isEqualTo(passed());
    assertThat(agent.calls.get(0).xml()).hasSameSizeAs(large);
  }

  @ParameterizedTest
  @ValueSource(strings = {"/bin/dash", "/bin/bash"})
  void worksInOtherShells(String other) throws Exception {
    assumeTrue(Files.exists(Path.of(other)), "skipped: no " + other);
    shell = other;
    startAgent();
    agent.status = HttpStatus.CONFLICT;
    agent.text = "vmferry: no";

    assertThat(hook(xml(), "é", "migrate", "begin", "-"))
        .isEqualTo(new Result(1, "", "vmferry: no\n"));
    assertThat(agent.calls.get(0).domain()).isEqualTo("é");
  }

  @ParameterizedTest
  @ValueSource(strings = {"migrate", "prepare", "start"})
  void refusesWithTheSentenceOfTheAgent(String operation) throws Exception {
    startAgent();
    agent.status = HttpStatus.CONFLICT;
    agent.text = "vmferry: domain vm: hosta doesn't answer; check the link";

    assertThat(hook(xml(), "vm", operation, "begin", "-"))
        .isEqualTo(new Result(1, "", agent.text + "\n"));
  }

  @Test
  void refusesWhenTheAgentFails() throws Exception {
    startAgent();
    agent.status = HttpStatus.INTERNAL_SERVER_ERROR;
    agent.text = "{}";

    Result result = hook(xml(), "vm", "migrate", "begin", "-");

    assertThat(result.status()).isEqualTo(1);
    assertThat(result.out()).isEmpty();
    assertThat(result.err())
        .startsWith("vmferry: domain vm: the agent failed to handle migrate (HTTP 500)")
        .endsWith("\n")
        .hasLineCount(1);
  }

  @ParameterizedTest
  @ValueSource(strings = {"migrate", "prepare", "start"})
  void refusesWithoutAgent(String operation) throws Exception {
    assertThat(hook(xml(), "vm", operation, "begin", "-"))
        .isEqualTo(
            new Result(
                1,
                "",
                "vmferry: the agent does not answer on "
                    + run.resolve("agent.sock")
                    + "; start it with `systemctl start vmferry-agent`\n"));
  }

  static Stream<Arguments> neverRefused() {
    return Stream.of(
        Arguments.of((Object) new String[] {"vm", "reconnect", "begin", "-"}),
        Arguments.of((Object) new String[] {"vm", "stopped", "end", "-"}),
        Arguments.of((Object) new String[] {"vm", "release", "end", "failed"}),
        Arguments.of((Object) new String[] {"vm", "started", "begin", "-"}),
        Arguments.of((Object) new String[] {"vm", "attach", "begin", "-"}),
        Arguments.of((Object) new String[] {"vm", "restore", "begin", "-"}),
        Arguments.of((Object) new String[] {"vm", "migrate", "end", "-"}),
        Arguments.of((Object) new String[] {"vm", "dance", "begin", "-"}),
        Arguments.of((Object) new String[] {}));
  }

  @ParameterizedTest
  @MethodSource("neverRefused")
  void neverRefusesTheOthersWithoutAgent(String[] arguments) throws Exception {
    assertThat(hook(xml(), arguments)).isEqualTo(passed());
  }

  @ParameterizedTest
  @MethodSource("neverRefused")
  void neverRefusesTheOthersWhateverTheAgentSays(String[] arguments) throws Exception {
    startAgent();
    agent.status = HttpStatus.CONFLICT;
    agent.text = "no";

    assertThat(hook(xml(), arguments)).isEqualTo(passed());
  }

  @Test
  void refusesWithoutCurl() throws Exception {
    barePath();

    assertThat(hook(xml(), "vm", "migrate", "begin", "-"))
        .isEqualTo(
            new Result(
                1,
                "",
                "vmferry: curl is missing; install it, or remove this hook ("
                    + HookScript.PATH
                    + ")\n"));
  }

  @Test
  void refusesWhenTheAgentHangs() throws Exception {
    startAgent();
    curl("exit 28");

    Result result = hook(xml(), "vm", "migrate", "begin", "-");

    assertThat(result.status()).isEqualTo(1);
    assertThat(result.err())
        .isEqualTo(
            "vmferry: domain vm: the agent did not answer within 55 s; look at `vmferry status`"
                + " and try again\n");
  }

  @Test
  void giveCurlTimeLimits() throws Exception {
    curl("echo \"$*\" > " + directory.resolve("arguments") + "; printf '\\n200'");

    hook(xml(), "vm", "migrate", "begin", "-");
    assertThat(directory.resolve("arguments"))
        .content()
        .contains("--connect-timeout 2 --max-time 55");

    hook(xml(), "vm", "stopped", "end", "-");
    assertThat(directory.resolve("arguments")).content().contains("--max-time 2 ");
  }

  @Test
  void doesNotRunCurlForOtherDomains() throws Exception {
    curl("touch " + directory.resolve("ran"));

    assertThat(hook("<domain><disk type='file'/></domain>", "vm", "migrate", "begin", "-"))
        .isEqualTo(passed());
    assertThat(directory.resolve("ran")).doesNotExist();
  }

  @Test
  void isQuickForOtherDomains() throws Exception {
    String other = "<domain><!--" + "x".repeat(64 << 10) + "--></domain>";
    List<Duration> times = new ArrayList<>();
    for (int i = 0; i < 10; i++) {
      long start = System.nanoTime();
      hook(other, "vm", "migrate", "begin", "-");
      times.add(Duration.ofNanos(System.nanoTime() - start));
    }

    assertThat(times.stream().min(Comparator.naturalOrder()).orElseThrow()).isLessThan(QUICK);
  }

  @Test
  void usesOnlyToolsThatAppArmorAllows() throws Exception {
    String script = Files.readString(HookScript.PATH, StandardCharsets.UTF_8);

    assertThat(script).startsWith("#!/bin/sh\n");
    assertThat(script).doesNotContainPattern("\\b(java|python3?|awk|sed|grep|nc)\\b");
    assertThat(HookScript.PATH).isExecutable();
  }
}
