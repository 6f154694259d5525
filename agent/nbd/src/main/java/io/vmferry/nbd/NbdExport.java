// SPDX-License-Identifier: Apache-2.0
package io.vmferry.nbd;

/** One export as the handshake sees it. Size and flags never change while a client is connected. */
public interface NbdExport {

  /** What is advertised. */
  ExportInfo info();

  /**
   * Transmission begins. Called once per connection, on its event loop.
   *
   * @throws NbdExportException if the export went away since it was found
   */
  NbdSession open(NbdClient client) throws NbdExportException;
}
