// SPDX-License-Identifier: Apache-2.0
package io.vmferry.cli.process;

import io.vmferry.api.service.ServiceManager;
import io.vmferry.cli.base.Surroundings;
import io.vmferry.config.RunningConfig;
import io.vmferry.coordinator.AgentProcess;
import java.io.IOException;
import picocli.CommandLine.Command;

/** The agent. */
@Command(
    name = "agent",
    description = {
      "Run the agent: it watches libvirt, answers the hooks and steers the relay.",
      "Guests' I/O does not depend on it: it may be stopped and replaced at any time."
    })
public final class AgentCommand extends ProcessCommand {
  public AgentCommand(Surroundings surroundings) {
    super(surroundings);
  }

  @Override
  void run(RunningConfig config, String version, ServiceManager manager)
      throws IOException, InterruptedException {
    AgentProcess.run(config, version, manager);
  }
}
