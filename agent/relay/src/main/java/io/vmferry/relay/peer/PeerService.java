// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.peer;

import io.netty.buffer.ByteBuf;
import io.vmferry.relay.peer.wire.Frame;
import io.vmferry.relay.peer.wire.Role;

/** Executes what peers ask for. Called on the connection's event loop; never blocks it. */
public interface PeerService {

  /**
   * Carries out one request; answers through {@code responder}, now or later.
   *
   * @param peer name of the node, proven by its certificate
   * @param role role of the connection
   */
  void handle(String peer, Role role, Frame request, Responder responder);

  /**
   * The peer has said hello on a CONTROL connection: it can be reached, probably in the other
   * direction as well. Called before any request of that connection.
   */
  default void connected(String peer) {}

  /**
   * Sends the answers to one request; thread-safe. After the connection is lost it does nothing.
   */
  interface Responder {
    /**
     * Sends one answer.
     *
     * @param answer without id and last; the responder sets them
     * @param payload released by the responder; null for none
     */
    void answer(Frame.Builder answer, ByteBuf payload, boolean last);

    /**
     * Whether the peer has said hello on a newer CONTROL connection. To be asked where requests are
     * put in order, just before one is carried out: one that was fenced must not be. Whatever the
     * peer asks on the newer connection arrives after this has become true.
     */
    default boolean fenced() {
      return false;
    }

    /** Bytes that are queued on this connection and not yet handed to the kernel. */
    long queuedBytes();

    /**
     * Runs {@code resume} once, on any thread, when the connection's queue is short again or lost.
     */
    void whenWritable(Runnable resume);
  }
}
