// SPDX-License-Identifier: Apache-2.0
package io.vmferry.cli.status;

import io.vmferry.api.AgentClient;
import io.vmferry.api.AgentStatus;
import io.vmferry.api.Json;
import io.vmferry.api.ProblemException;
import io.vmferry.api.RelayClient;
import io.vmferry.api.RelayStatus;
import io.vmferry.cli.base.ConfiguredCommand;
import io.vmferry.cli.base.Surroundings;
import io.vmferry.config.Config;
import java.time.LocalTime;
import java.time.ZoneOffset;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** Shows what this node does. */
@Command(
    name = "status",
    description = "Show the volumes, domains and peers of this node.",
    footer = {"", "The rate and the ETA count what guests wait for and the background copy."})
public final class StatusCommand extends ConfiguredCommand {
  /** Between two looks: as fast as a person reads, and no load for the relay. */
  private static final long WATCH_MILLIS = 1000;

  /** ANSI: cursor to the top left, clear from there on. */
  private static final String REDRAW = "\033[H\033[J";

  @Spec private CommandSpec command;

  @Option(names = "--json", description = "Print JSON, as the control API has it.")
  private boolean json;

  @Option(names = "--watch", description = "Show it again each second, until Ctrl-C.")
  private boolean watch;

  @Option(
      names = "--until-complete",
      description = "With --watch: end when nothing is left to fetch.")
  private boolean untilComplete;

  public StatusCommand(Surroundings surroundings) {
    super(surroundings);
  }

  @Override
  public Integer call() throws Exception {
    if (json && watch) {
      throw new ParameterException(command.commandLine(), "--json and --watch exclude each other");
    }
    if (untilComplete && !watch) {
      throw new ParameterException(command.commandLine(), "--until-complete needs --watch");
    }
    Config config = config();
    try (RelayClient relay = new RelayClient(config.paths().relaySocket());
        AgentClient agent = new AgentClient(config.paths().agentSocket())) {
      if (watch) {
        return watch(relay, agent);
      }
      NodeStatus node = ask(relay, agent);
      print(json ? List.of(Json.encodePretty(node)) : StatusView.full(node));
      return OK;
    }
  }

  private static NodeStatus ask(RelayClient relay, AgentClient agent) {
    CompletableFuture<RelayStatus> relayStatus = relay.status();
    CompletableFuture<AgentStatus> agentStatus = agent.status();
    RelayStatus volumes = await(relayStatus);
    try {
      return new NodeStatus(volumes, await(agentStatus), null);
    } catch (ProblemException e) {
      return new NodeStatus(volumes, null, e.getMessage());
    }
  }

  private int watch(RelayClient relay, AgentClient agent) throws InterruptedException {
    String last = "";
    while (true) {
      boolean fetching = true;
      List<String> lines;
      try {
        NodeStatus node = ask(relay, agent);
        fetching = node.fetching();
        lines = surroundings().canRedraw() ? screen(node) : plain(node);
      } catch (ProblemException e) {
        // A relay that is restarted comes back, and goes on with what it fetched.
        lines = List.of(e.getMessage());
      }
      last = show(lines, last);
      if (untilComplete && !fetching) {
        return OK;
      }
      surroundings().pause().millis(WATCH_MILLIS);
    }
  }

  private static List<String> screen(NodeStatus node) {
    List<String> lines = new ArrayList<>(StatusView.full(node));
    List<String> bars = StatusView.bars(node.relay().volumes());
    if (!bars.isEmpty()) {
      lines.add("");
      lines.addAll(bars);
    }
    return lines;
  }

  private static List<String> plain(NodeStatus node) {
    return node.fetching()
        ? StatusView.plainProgress(node.relay().volumes())
        : List.of("nothing is being fetched");
  }

  /**
   * Redraws, or appends lines with their time unless nothing has changed; returns what it showed.
   */
  private String show(List<String> lines, String last) {
    String text = String.join("\n", lines);
    if (surroundings().canRedraw()) {
      out().print(REDRAW);
      print(lines);
    } else if (!text.equals(last)) {
      LocalTime now =
          LocalTime.ofInstant(surroundings().clock().instant(), ZoneOffset.UTC)
              .truncatedTo(ChronoUnit.SECONDS);
      lines.forEach(line -> out().printf("%tTZ  %s%n", now, line));
      out().flush();
    }
    return text;
  }

  private void print(List<String> lines) {
    lines.forEach(out()::println);
    out().flush();
  }
}
