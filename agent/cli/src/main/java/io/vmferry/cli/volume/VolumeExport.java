// SPDX-License-Identifier: Apache-2.0
package io.vmferry.cli.volume;

import io.vmferry.api.RelayClient;
import io.vmferry.api.VolumeState;
import io.vmferry.api.VolumeStatus;
import io.vmferry.cli.base.CommandFailure;
import io.vmferry.cli.base.ConfiguredCommand;
import io.vmferry.cli.base.Surroundings;
import io.vmferry.config.Config;
import java.io.IOException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
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
    if (!force && Files.exists(file)) {
      throw taken();
    }
    try (RelayClient relay = new RelayClient(config.paths().relaySocket())) {
      check(await(relay.volume(name)), config.paths().volumes().resolve(name).resolve("data"));
    }
    // Whoever sees the file sees a whole image.
    Path part = file.resolveSibling(file.getFileName() + ".part");
    var interrupt = surroundings().interrupts().undo(() -> remove(part));
    try {
      new QemuImg(surroundings().processes())
          .copyOut(
              name, config.paths().nbdSocket(), part, format.name(), surroundings().terminal());
      place(part);
    } catch (CommandFailure e) {
      remove(part);
      throw e;
    } finally {
      interrupt.end();
    }
    return OK;
  }

  private void check(VolumeStatus volume, Path dataFile) throws CommandFailure {
    if (volume.state() == VolumeState.RELEASED) {
      throw new CommandFailure(
          "the volume "
              + name
              + " was taken over by "
              + volume.epoch().owner()
              + " and can't be read here; export it there");
    }
    long missing = volume.size() - volume.present();
    boolean complete = volume.state() == VolumeState.STANDBY || missing == 0;
    if (!complete && (volume.fetch() == null || !volume.fetch().linkUp())) {
      throw new CommandFailure(
          "the volume "
              + name
              + " lacks "
              + missing
              + " bytes here, which only "
              + (volume.fetch() == null ? "its origin" : volume.fetch().describeOrigin())
              + " has, and that can't be reached; repair the link, or if that is lost take "
              + dataFile
              + " as it is: a raw image with holes for what is missing");
    }
    if (volume.clients() > 0) {
      warn("the volume " + name + " is in use: the image may mix older and newer blocks");
    }
  }

  private void place(Path part) throws CommandFailure {
    try {
      if (force) {
        Files.move(part, file, StandardCopyOption.REPLACE_EXISTING);
      } else {
        Files.move(part, file);
      }
    } catch (FileAlreadyExistsException e) {
      throw taken();
    } catch (IOException e) {
      throw new CommandFailure("can't write " + file + ": " + CommandFailure.reason(e), e);
    }
  }

  private void remove(Path part) {
    try {
      Files.deleteIfExists(part);
    } catch (IOException e) {
      warn("the unfinished image " + part + " is left: " + CommandFailure.reason(e));
    }
  }

  private CommandFailure taken() {
    return new CommandFailure(
        file + " exists already; choose another name, or replace it with --force");
  }
}
