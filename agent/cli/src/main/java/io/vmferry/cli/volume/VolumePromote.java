// SPDX-License-Identifier: Apache-2.0
package io.vmferry.cli.volume;

import io.vmferry.api.PromoteVolume;
import io.vmferry.api.RelayClient;
import io.vmferry.api.VolumeStatus;
import io.vmferry.cli.base.ConfiguredCommand;
import io.vmferry.cli.base.Surroundings;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** Makes this node's copy the owner by force. */
@Command(
    name = "promote",
    description = {
      "Make this node's copy of a volume the owner, though its owner is lost.",
      "Without --force it only says what would be lost."
    })
public final class VolumePromote extends ConfiguredCommand {
  @Parameters(paramLabel = "NAME", description = "The volume.")
  private String name;

  @Option(names = "--force", description = "Do it. What was written at the lost owner is lost.")
  private boolean force;

  public VolumePromote(Surroundings surroundings) {
    super(surroundings);
  }

  @Override
  public Integer call() throws Exception {
    try (RelayClient relay = relay()) {
      VolumeStatus volume = await(relay.promoteVolume(name, new PromoteVolume(force)));
      out().println("the volume " + name + " is owned here, in epoch " + volume.epoch().number());
      return OK;
    }
  }
}
