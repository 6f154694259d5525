// SPDX-License-Identifier: Apache-2.0
package io.vmferry.cli.process;

import io.vmferry.api.AgentClient;
import io.vmferry.api.RelayClient;
import io.vmferry.api.Reloaded;
import io.vmferry.cli.base.CommandFailure;
import io.vmferry.cli.base.ConfiguredCommand;
import io.vmferry.cli.base.Surroundings;
import io.vmferry.config.ConfigException;
import picocli.CommandLine.Command;
import picocli.CommandLine.Parameters;

/** What {@code systemctl reload} runs. */
@Command(
    name = "reload",
    description = {
      "Let the relay or the agent read its configuration again, without a restart.",
      "A file that is wrong changes nothing. Says what is in force and what needs a restart."
    })
public final class ReloadCommand extends ConfiguredCommand {
  /** The processes, as the command line names them. */
  enum Target {
    relay,
    agent
  }

  @Parameters(paramLabel = "PROCESS", description = "relay or agent.")
  private Target process;

  public ReloadCommand(Surroundings surroundings) {
    super(surroundings);
  }

  @Override
  public Integer call() throws Exception {
    Reloaded reloaded = reload();
    reloaded.applied().forEach(change -> out().println("in force: " + change));
    for (String key : reloaded.atRestart()) {
      warn(key + " is changed, but in force only after: systemctl restart vmferry-" + process);
    }
    return OK;
  }

  private Reloaded reload() throws CommandFailure, ConfigException {
    if (process == Target.relay) {
      try (RelayClient relay = relay()) {
        return await(relay.reload());
      }
    }
    try (AgentClient agent = new AgentClient(config().paths().agentSocket())) {
      return await(agent.reload());
    }
  }
}
