// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.peer;

import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentMap;

/**
 * One CONTROL connection per peer: a new one fences the one before, whose peer has given it up.
 *
 * <p>What a peer asked on a connection that it lost may still be on its way here, in the network or
 * in a buffer, when it asks something else on the next one. Carried out late, a takeover would
 * release a volume to a node that has since been told that it was not released, and has dropped its
 * standby: no node would own the volume. Thread-safe.
 */
final class ControlFence {
  private final ConcurrentMap<String, RequestDispatcher> current = new ConcurrentHashMap<>();

  /** The hello of this connection was accepted; to be called before it is answered. */
  void admit(String peer, RequestDispatcher connection) {
    RequestDispatcher before = current.put(peer, connection);
    if (before != null) {
      before.fence();
    }
  }

  /** The connection is over. */
  void gone(String peer, RequestDispatcher connection) {
    current.remove(peer, connection);
  }
}
