// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.volume;

import io.vmferry.relay.store.ErrnoException;
import java.io.IOException;

/** What a failed file operation means for the volume. */
enum DiskTrouble {
  /** No space: nothing was lost, and it may work later. */
  FULL,
  /** Anything else: what the file holds can't be trusted any more; the volume is poisoned. */
  BROKEN;

  static DiskTrouble of(IOException error) {
    return error instanceof ErrnoException errno && errno.noSpace() ? FULL : BROKEN;
  }
}
