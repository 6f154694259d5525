// SPDX-License-Identifier: Apache-2.0
package io.vmferry.cli.volume;

import io.vmferry.api.RelayClient;
import io.vmferry.cli.base.ConfiguredCommand;
import io.vmferry.cli.base.Surroundings;
import picocli.CommandLine.Command;
import picocli.CommandLine.Parameters;

/** Deletes a replica with its data. */
@Command(
    name = "delete",
    description = {
      "Delete this node's replica of a volume, with its data.",
      "Refused while a client uses it or another node still lacks blocks of it."
    })
public final class VolumeDelete extends ConfiguredCommand {
  @Parameters(paramLabel = "NAME", description = "The volume.")
  private String name;

  public VolumeDelete(Surroundings surroundings) {
    super(surroundings);
  }

  @Override
  public Integer call() throws Exception {
    try (RelayClient relay = relay()) {
      await(relay.deleteVolume(name));
      return OK;
    }
  }
}
