// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.source;

import io.vmferry.nbd.client.NbdConnection;
import io.vmferry.nbd.client.ServerExport;

/** The way to an NBD server. Called, and answers given, on the data loop. */
interface SourceLink {

  /** Told on the data loop. */
  interface Listener {
    /**
     * A connection stands.
     *
     * @return why this server must not be used; null if it may
     */
    String connected(ServerExport export);

    /** The server can be asked from now on. */
    void up();
  }

  /** Begins to connect, and goes on after each loss. */
  void open();

  boolean up();

  /** What the server said of the export; null if the link isn't up. */
  ServerExport export();

  /** Why it isn't up. */
  String problem();

  /** Whether it was given up for good: the server is not the one it was. */
  boolean refused();

  /** As {@link NbdConnection#read}; fails if the link isn't up. */
  void read(long offset, int length, NbdConnection.ReadAnswer answer);

  /** As {@link NbdConnection#extents}; fails if the link isn't up. */
  void extents(long offset, long length, NbdConnection.ExtentsAnswer answer);

  /** Ends it for good; what is under way fails. */
  void close();
}
