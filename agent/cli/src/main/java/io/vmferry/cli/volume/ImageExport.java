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
import java.util.function.Consumer;

/** Writes volumes into images: whoever sees the file sees a whole image. Blocks. */
public final class ImageExport {
  private final Surroundings surroundings;
  private final RelayClient relay;
  private final Config.Paths paths;
  private final Consumer<String> warn;

  /**
   * @param relay of this node; stays open
   * @param paths its socket and its volumes
   * @param warn is told what the user should know though the image is written
   */
  public ImageExport(
      Surroundings surroundings, RelayClient relay, Config.Paths paths, Consumer<String> warn) {
    this.surroundings = surroundings;
    this.relay = relay;
    this.paths = paths;
    this.warn = warn;
  }

  /**
   * Writes one.
   *
   * @param format in QEMU's words
   * @param force whether a file of that name is replaced
   */
  public void run(String volume, Path file, String format, boolean force) throws CommandFailure {
    if (!force && Files.exists(file)) {
      throw taken(file);
    }
    check(ConfiguredCommand.await(relay.volume(volume)));
    Path part = file.resolveSibling(file.getFileName() + ".part");
    var interrupt = surroundings.interrupts().undo(() -> remove(part));
    try {
      new QemuImg(surroundings.processes())
          .copyOut(volume, paths.nbdSocket(), part, format, surroundings.terminal());
      place(part, file, force);
    } catch (CommandFailure e) {
      remove(part);
      throw e;
    } finally {
      interrupt.end();
    }
  }

  private void check(VolumeStatus volume) throws CommandFailure {
    if (volume.state() == VolumeState.RELEASED) {
      throw new CommandFailure(
          "the volume "
              + volume.name()
              + " was taken over by "
              + volume.epoch().owner()
              + " and can't be read here; export it there");
    }
    long missing = volume.size() - volume.present();
    boolean complete = volume.state() == VolumeState.STANDBY || missing == 0;
    if (!complete && (volume.fetch() == null || !volume.fetch().linkUp())) {
      throw new CommandFailure(
          "the volume "
              + volume.name()
              + " lacks "
              + missing
              + " bytes here, which only "
              + (volume.fetch() == null ? "its origin" : volume.fetch().describeOrigin())
              + " has, and that can't be reached; repair the link, or if that node is lost take "
              + paths.volumes().resolve(volume.name()).resolve("data")
              + " as it is: a raw image with holes for what is missing");
    }
    if (volume.clients() > 0) {
      warn.accept(
          "the volume " + volume.name() + " is in use: the image may mix older and newer blocks");
    }
  }

  private static void place(Path part, Path file, boolean force) throws CommandFailure {
    try {
      if (force) {
        Files.move(part, file, StandardCopyOption.REPLACE_EXISTING);
      } else {
        Files.move(part, file);
      }
    } catch (FileAlreadyExistsException e) {
      throw taken(file);
    } catch (IOException e) {
      throw new CommandFailure(
          "can't write " + file + ": " + CommandFailure.reason(e) + "; choose another place", e);
    }
  }

  private void remove(Path part) {
    try {
      Files.deleteIfExists(part);
    } catch (IOException e) {
      warn.accept(
          "the unfinished image " + part + " is left: " + CommandFailure.reason(e) + "; remove it");
    }
  }

  private static CommandFailure taken(Path file) {
    return new CommandFailure(
        file + " exists already; choose another name, or replace it with --force");
  }
}
