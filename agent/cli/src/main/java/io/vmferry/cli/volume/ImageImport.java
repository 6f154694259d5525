// SPDX-License-Identifier: Apache-2.0
package io.vmferry.cli.volume;

import io.vmferry.api.CreateVolume;
import io.vmferry.api.Problem;
import io.vmferry.api.ProblemException;
import io.vmferry.api.RelayClient;
import io.vmferry.cli.base.CommandFailure;
import io.vmferry.cli.base.ConfiguredCommand;
import io.vmferry.cli.base.Surroundings;
import java.nio.file.Path;
import java.util.function.Consumer;

/** Makes volumes from images: each whole or not at all. Blocks. */
public final class ImageImport {
  /** Tries to delete what a failed import leaves; the relay may still see qemu-img's connection. */
  private static final int UNDO_TRIES = 10;

  private static final long UNDO_PAUSE_MILLIS = 200;

  private final Surroundings surroundings;
  private final RelayClient relay;
  private final Path nbdSocket;
  private final Consumer<String> warn;

  /**
   * @param relay of this node; stays open
   * @param nbdSocket where it serves volumes
   * @param warn is told what could not be undone
   */
  public ImageImport(
      Surroundings surroundings, RelayClient relay, Path nbdSocket, Consumer<String> warn) {
    this.surroundings = surroundings;
    this.relay = relay;
    this.nbdSocket = nbdSocket;
    this.warn = warn;
  }

  /**
   * Makes one. If it fails, or a signal ends the command meanwhile, there is no volume.
   *
   * @param volume its name
   * @param image the file
   * @param info what the file is
   */
  public void run(String volume, Path image, QemuImg.Info info) throws CommandFailure {
    ConfiguredCommand.await(relay.createVolume(new CreateVolume(volume, info.virtualSize())));
    var interrupt = surroundings.interrupts().undo(() -> undo(volume));
    try {
      new QemuImg(surroundings.processes())
          .fill(volume, nbdSocket, image, info.format(), surroundings.terminal());
    } catch (CommandFailure e) {
      undo(volume);
      throw e;
    } finally {
      interrupt.end();
    }
  }

  /** Deletes a volume that was made, or says that it is left. */
  public void undo(String volume) {
    for (int attempt = 1; ; attempt++) {
      try {
        ConfiguredCommand.await(relay.deleteVolume(volume));
        return;
      } catch (ProblemException e) {
        Problem.Code code = e.problem().code();
        if (code == Problem.Code.NOT_FOUND) {
          return;
        }
        if (code != Problem.Code.IN_USE || attempt == UNDO_TRIES) {
          warn.accept(
              "the unfinished volume "
                  + volume
                  + " is left: "
                  + e.getMessage()
                  + "; remove it with `vmferry volume delete "
                  + volume
                  + "`");
          return;
        }
      }
      try {
        surroundings.pause().millis(UNDO_PAUSE_MILLIS);
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
        return;
      }
    }
  }
}
