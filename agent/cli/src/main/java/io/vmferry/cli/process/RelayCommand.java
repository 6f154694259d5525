// SPDX-License-Identifier: Apache-2.0
package io.vmferry.cli.process;

import io.vmferry.api.service.ServiceManager;
import io.vmferry.cli.base.Surroundings;
import io.vmferry.config.RunningConfig;
import io.vmferry.relay.RelayProcess;
import java.io.IOException;
import picocli.CommandLine.Command;

/** The relay. */
@Command(
    name = "relay",
    description = {
      "Run the relay: it serves volumes to the local QEMU and to the relays of other nodes.",
      "Guests' I/O goes through it: stop it only when no guest here uses a volume."
    })
public final class RelayCommand extends ProcessCommand {
  public RelayCommand(Surroundings surroundings) {
    super(surroundings);
  }

  @Override
  void run(RunningConfig config, String version, ServiceManager manager)
      throws IOException, InterruptedException {
    RelayProcess.run(config, version, manager);
  }
}
