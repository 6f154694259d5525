// SPDX-License-Identifier: Apache-2.0
package io.vmferry.nbd;

import java.util.List;
import java.util.concurrent.CompletionStage;

/** The exports a server offers; the executing side of the handshake. */
public interface NbdExports {

  /** Names for NBD_OPT_LIST, in a stable order. Called on the connection's event loop. */
  List<String> names();

  /**
   * Finds the export of that name, for NBD_OPT_GO, NBD_OPT_INFO and NBD_OPT_EXPORT_NAME. May take
   * time (a relay that doesn't know the volume asks its peers), so the answer is a stage; it may be
   * completed on any thread.
   *
   * @return fails with {@link NbdExportException}; its message goes to the client and the log
   */
  CompletionStage<NbdExport> find(String name);
}
