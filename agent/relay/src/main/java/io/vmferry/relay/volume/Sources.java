// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.volume;

import io.vmferry.relay.copy.BlockSource;
import io.vmferry.relay.copy.BulkLane;

/** Opens what volumes are fetched from if it is no peer: plain NBD servers. Loop only. */
public interface Sources {

  /**
   * Begins to connect, and goes on until it is closed.
   *
   * @param record of the volume; it names the source
   * @param whenUp runs on the loop each time the source can be asked again
   */
  Source open(VolumeRecord record, Runnable whenUp);

  /** An open source. */
  interface Source {
    /** What it delivers. */
    BlockSource blocks();

    /** The window of the background copy from it. */
    BulkLane lane();

    /** Ends its connections; what is under way is answered with an error. */
    void close();
  }
}
