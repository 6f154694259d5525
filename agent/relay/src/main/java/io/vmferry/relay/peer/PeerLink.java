// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.peer;

import io.netty.buffer.ByteBuf;
import io.vmferry.relay.peer.wire.Frame;
import io.vmferry.relay.peer.wire.Role;
import java.util.concurrent.Executor;

/**
 * The way to one peer: connections per role, opened on first use, reconnected with back-off,
 * watched by heartbeat so that a half-open connection is noticed in seconds.
 *
 * <p>Thread-safe. Injected: the simulator has its own.
 */
public interface PeerLink {

  /** Name of the peer in the configuration. */
  String node();

  /** Its configured address, host:port; for people. */
  String address();

  /** Whether the control connection stands. */
  boolean up();

  /** Of the control connection, which has no queue of its own. */
  RoundTrip roundTrip();

  /** Why the link is down, for people; null if it is up. */
  String problem();

  /**
   * Sends a request. Bulk requests are spread over the bulk connections.
   *
   * @param role DEMAND, BULK or CONTROL
   * @param request without id; the link numbers it
   * @param executor where {@code answers} is called
   */
  void call(Role role, Frame request, Executor executor, Answers answers);

  /** Tells {@code listener} on {@code executor} each time the control connection comes up. */
  void onUp(Executor executor, Runnable listener);

  /**
   * The peer was just heard of in another way: an attempt to connect that waits for its time is
   * made now, and control calls wait for its outcome.
   */
  default void peerIsThere() {}

  /** The answers to one request: any number of frames, then exactly one end. */
  interface Answers {
    /**
     * One answer. Calls with a refusal come here too.
     *
     * @param payload belongs to the link, valid during the call; retain to keep
     */
    void frame(Frame answer, ByteBuf payload);

    /**
     * The last answer was delivered, or the link was lost before it.
     *
     * @param error null after the last answer; otherwise why the rest never comes
     */
    void end(Exception error);
  }
}
