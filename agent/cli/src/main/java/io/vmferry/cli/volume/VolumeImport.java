// SPDX-License-Identifier: Apache-2.0
package io.vmferry.cli.volume;

import io.vmferry.api.RelayClient;
import io.vmferry.cli.base.CommandFailure;
import io.vmferry.cli.base.ConfiguredCommand;
import io.vmferry.cli.base.Surroundings;
import io.vmferry.config.Config;
import java.nio.file.Path;
import java.util.Optional;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** Makes a volume from an image file. */
@Command(
    name = "import",
    description = {
      "Create a volume on this node from a disk image.",
      "The image may have any format that qemu-img reads; it is not changed."
    })
public final class VolumeImport extends ConfiguredCommand {
  @Parameters(index = "0", paramLabel = "NAME", description = "Name of the new volume.")
  private String name;

  @Parameters(index = "1", paramLabel = "FILE", description = "The image.")
  private Path file;

  @Option(
      names = "--format",
      paramLabel = "FORMAT",
      description = "Format of the image, such as raw or qcow2; default: what it looks like.")
  private String format;

  public VolumeImport(Surroundings surroundings) {
    super(surroundings);
  }

  @Override
  public Integer call() throws Exception {
    Config config = config();
    QemuImg qemuImg = new QemuImg(surroundings().processes());
    QemuImg.Info image = qemuImg.info(file, Optional.ofNullable(format));
    if (format == null && image.backingFile().isPresent()) {
      // A guest can write a header into its raw disk that names any file of this host.
      throw new CommandFailure(
          file
              + " looks like "
              + image.format()
              + " on top of "
              + image.backingFile().get()
              + ", which would be imported with it; if that is right, say --format "
              + image.format());
    }
    try (RelayClient relay = new RelayClient(config.paths().relaySocket())) {
      new ImageImport(surroundings(), relay, config.paths().nbdSocket(), this::warn)
          .run(name, file, image);
    }
    return OK;
  }
}
