// SPDX-License-Identifier: Apache-2.0
package io.vmferry.cli.volume;

import io.vmferry.api.RelayClient;
import io.vmferry.cli.base.ConfiguredCommand;
import io.vmferry.cli.base.Surroundings;
import io.vmferry.cli.status.StatusView;
import picocli.CommandLine.Command;

/** Lists the replicas of this node. */
@Command(name = "list", description = "List the volumes that have a replica on this node.")
public final class VolumeList extends ConfiguredCommand {
  public VolumeList(Surroundings surroundings) {
    super(surroundings);
  }

  @Override
  public Integer call() throws Exception {
    try (RelayClient relay = relay()) {
      StatusView.volumes(await(relay.status()).volumes()).forEach(out()::println);
      return OK;
    }
  }
}
