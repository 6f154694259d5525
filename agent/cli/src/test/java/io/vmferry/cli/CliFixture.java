// SPDX-License-Identifier: Apache-2.0
package io.vmferry.cli;

import io.vmferry.api.ControlServer;
import io.vmferry.cli.base.Processes;
import io.vmferry.cli.base.Surroundings;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Clock;
import java.time.Instant;
import java.time.ZoneOffset;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.io.TempDir;
import picocli.CommandLine;

/** Runs commands in this process, with a configuration, and a fake relay and agent on sockets. */
abstract class CliFixture {
  static final Instant NOW = Instant.parse("2026-11-21T12:00:00Z");

  /** How a command ended. */
  record Outcome(int exit, String out, String err) {}

  @TempDir Path directory;
  Path configFile;
  final FakeNode node = new FakeNode();
  final Map<String, String> environment = new HashMap<>();
  final List<Long> pauses = new ArrayList<>();
  final List<Runnable> interruptible = new ArrayList<>();
  boolean terminal;
  Instant now = NOW;
  Surroundings.Pause pause = pauses::add;
  Processes processes =
      (command, show) -> {
        throw new IOException("no program " + command.get(0));
      };
  private final List<ControlServer> servers = new ArrayList<>();

  @BeforeEach
  void configure() throws IOException {
    Files.createDirectory(directory.resolve("run"));
    Files.createDirectory(directory.resolve("state"));
    configFile = directory.resolve("vmferry.yaml");
    Files.writeString(
        configFile,
        """
        node: host-a
        peers:
          host-b: 192.0.2.2:7820
        paths:
          run: %1$s/run
          state: %1$s/state
        tls:
          ca: %1$s/pki/ca.crt
          certificate: %1$s/pki/host-a.crt
          key: %1$s/pki/host-a.key
        """
            .formatted(directory));
  }

  @AfterEach
  void stopServers() {
    servers.forEach(ControlServer::close);
  }

  final void startRelay() throws IOException {
    servers.add(
        ControlServer.start(
            directory.resolve("run/relay.sock"),
            PosixFilePermissions.fromString("rw-------"),
            node.relay));
  }

  final void startAgent() throws IOException {
    servers.add(
        ControlServer.start(
            directory.resolve("run/agent.sock"),
            PosixFilePermissions.fromString("rw-------"),
            node.agent));
  }

  /** Runs `vmferry ARGUMENTS --config …`. */
  final Outcome run(String... arguments) {
    return runPlain(
        Stream.concat(Stream.of(arguments), Stream.of("--config", configFile.toString()))
            .toArray(String[]::new));
  }

  /** Runs `vmferry ARGUMENTS`. */
  final Outcome runPlain(String... arguments) {
    StringWriter out = new StringWriter();
    StringWriter err = new StringWriter();
    Surroundings surroundings =
        new Surroundings(
            environment,
            terminal,
            Clock.fixed(now, ZoneOffset.UTC),
            pause,
            processes,
            action -> {
              interruptible.add(action);
              return () -> interruptible.remove(action);
            },
            directory.resolve("root"));
    CommandLine command =
        VmferryCommand.commandLine(surroundings)
            .setOut(new PrintWriter(out))
            .setErr(new PrintWriter(err));
    int exit = command.execute(arguments);
    command.getOut().flush();
    command.getErr().flush();
    return new Outcome(exit, out.toString(), err.toString());
  }
}
