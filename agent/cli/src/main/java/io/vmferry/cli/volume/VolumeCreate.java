// SPDX-License-Identifier: Apache-2.0
package io.vmferry.cli.volume;

import io.vmferry.api.CreateVolume;
import io.vmferry.api.RelayClient;
import io.vmferry.cli.base.ConfiguredCommand;
import io.vmferry.cli.base.Surroundings;
import io.vmferry.config.ByteSize;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** Creates an empty volume. */
@Command(
    name = "create",
    description = "Create an empty volume on this node; it takes space as it is written.")
public final class VolumeCreate extends ConfiguredCommand {
  @Spec private CommandSpec command;

  @Parameters(paramLabel = "NAME", description = "Its name, the same on every node.")
  private String name;

  @Option(
      names = "--size",
      required = true,
      paramLabel = "SIZE",
      description = "Size of the disk, such as 10G.")
  private String size;

  public VolumeCreate(Surroundings surroundings) {
    super(surroundings);
  }

  @Override
  public Integer call() throws Exception {
    ByteSize bytes;
    try {
      bytes = ByteSize.parse(size);
    } catch (IllegalArgumentException e) {
      throw new ParameterException(command.commandLine(), "--size: " + e.getMessage(), e);
    }
    try (RelayClient relay = relay()) {
      await(relay.createVolume(new CreateVolume(name, bytes.bytes())));
      return OK;
    }
  }
}
