// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.map;

import java.io.IOException;
import java.nio.file.Path;

/** A mapped map is damaged or isn't the one that the caller expects; nothing was taken from it. */
public final class MapRefusedException extends IOException {
  private static final long serialVersionUID = 1L;

  /**
   * @param problem what is wrong, as a clause
   */
  MapRefusedException(Path path, String problem) {
    super(
        path
            + " is not used: "
            + problem
            + ". The maps on disk decide what this replica holds; the file may be deleted.");
  }
}
