// SPDX-License-Identifier: Apache-2.0
package io.vmferry.cli.volume;

import io.vmferry.api.RelayClient;
import io.vmferry.cli.base.ConfiguredCommand;
import io.vmferry.cli.base.Surroundings;
import io.vmferry.config.Config;
import java.nio.file.Path;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** Writes a volume into an image file. */
@Command(
    name = "export",
    description = {
      "Write a volume into a disk image.",
      "While a guest uses the volume the image mixes older and newer blocks: shut it down first."
    })
public final class VolumeExport extends ConfiguredCommand {
  /** The formats of image that can be written. */
  enum Format {
    raw,
    qcow2
  }

  @Parameters(index = "0", paramLabel = "NAME", description = "The volume.")
  private String name;

  @Parameters(index = "1", paramLabel = "FILE", description = "The image to write.")
  private Path file;

  @Option(
      names = "--format",
      paramLabel = "FORMAT",
      defaultValue = "raw",
      description = "${COMPLETION-CANDIDATES}; default: ${DEFAULT-VALUE}.")
  private Format format;

  @Option(names = "--force", description = "Replace FILE if it exists.")
  private boolean force;

  public VolumeExport(Surroundings surroundings) {
    super(surroundings);
  }

  @Override
  public Integer call() throws Exception {
    Config config = config();
    try (RelayClient relay = new RelayClient(config.paths().relaySocket())) {
      new ImageExport(surroundings(), relay, config.paths(), this::warn)
          .run(name, file, format.name(), force);
    }
    return OK;
  }
}
