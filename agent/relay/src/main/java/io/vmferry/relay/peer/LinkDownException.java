// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.peer;

import io.vmferry.relay.peer.wire.Role;
import java.io.IOException;

/**
 * The connection to a peer was lost, or isn't there. Whether the peer carried out the request is
 * unknown; ask again when the link is up.
 */
public final class LinkDownException extends IOException {
  private static final long serialVersionUID = 1;

  /**
   * @param node name of the peer
   * @param role role of the connection
   * @param reason why, for people
   */
  public LinkDownException(String node, Role role, String reason) {
    super("no " + role + " connection to peer " + node + ": " + reason);
  }
}
