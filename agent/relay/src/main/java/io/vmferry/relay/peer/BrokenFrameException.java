// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.peer;

import java.io.IOException;

/** The peer sent something that isn't the peer protocol; the connection can't be used further. */
final class BrokenFrameException extends IOException {
  private static final long serialVersionUID = 1;

  BrokenFrameException(String problem) {
    super("broken frame: " + problem);
  }
}
