// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.peer;

import io.netty.channel.EventLoopGroup;
import java.util.concurrent.Executor;
import java.util.function.LongSupplier;
import java.util.random.RandomGenerator;

/**
 * What all peer connections of a node share.
 *
 * @param node name of this node
 * @param software name and version for the peers' logs, at most 100 characters
 * @param tls identity of this node; its certificate must be for {@code node}
 * @param loops epoll event loops of the connections
 * @param resolver runs look-ups of host names, which block
 * @param nanoTime monotonic clock in nanoseconds
 * @param random spreads reconnects; thread-safe
 */
public record PeerSetup(
    String node,
    String software,
    PeerTls tls,
    EventLoopGroup loops,
    Executor resolver,
    LongSupplier nanoTime,
    RandomGenerator random) {

  /** A hello must fit into {@link FrameLimits#HANDSHAKE}. */
  private static final int MAX_SOFTWARE_CHARS = 100;

  /** Checks that the certificate is this node's. */
  public PeerSetup {
    if (!tls.node().equals(node)) {
      throw new IllegalArgumentException(
          "this node is '"
              + node
              + "', its certificate is for '"
              + tls.node()
              + "'; correct the node name in the configuration, or issue a certificate for it");
    }
    if (software.length() > MAX_SOFTWARE_CHARS) {
      throw new IllegalArgumentException(
          "software has " + software.length() + " characters, allowed are " + MAX_SOFTWARE_CHARS);
    }
  }
}
