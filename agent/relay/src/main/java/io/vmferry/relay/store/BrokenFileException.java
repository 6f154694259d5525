// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.store;

import java.io.IOException;
import java.nio.file.Path;

/** A durable file is damaged or not what it must be. Nothing is guessed from such a file. */
public final class BrokenFileException extends IOException {
  private static final long serialVersionUID = 1L;

  private final transient Path path;

  /**
   * @param problem what is wrong, as a clause: "its checksum is wrong"
   */
  BrokenFileException(Path path, String problem) {
    super(
        path
            + " can't be used: "
            + problem
            + ". Take this replica's content from the node that owns the volume: delete the"
            + " replica here and attach it again. If this node is the only one that has the"
            + " volume, restore the file from a backup.");
    this.path = path;
  }

  /** The broken file. */
  public Path path() {
    return path;
  }
}
