// SPDX-License-Identifier: Apache-2.0
package io.vmferry.nbd;

import io.netty.channel.Channel;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelInboundHandlerAdapter;
import java.util.HashSet;
import java.util.Set;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Bounds the connections that are in the handshake: at the limit nothing is accepted, and who comes
 * waits in the backlog until one of them is in transmission or gone. The set is used on the
 * listener's event loop only.
 */
final class AcceptGate extends ChannelInboundHandlerAdapter {
  private static final Logger log = LoggerFactory.getLogger(AcceptGate.class);

  private final int limit;
  private final Set<Channel> inHandshake = new HashSet<>();
  private ChannelHandlerContext ctx;

  AcceptGate(int limit) {
    this.limit = limit;
  }

  @Override
  public void handlerAdded(ChannelHandlerContext context) {
    ctx = context;
  }

  @Override
  public void channelRead(ChannelHandlerContext context, Object message) {
    Channel child = (Channel) message;
    inHandshake.add(child);
    if (inHandshake.size() == limit) {
      log.warn("{} clients are in the handshake: further ones wait", limit);
      ctx.channel().config().setAutoRead(false);
    }
    child.closeFuture().addListener(closed -> handshakeOver(child));
    ctx.fireChannelRead(child);
  }

  /** The connection is in transmission, or closed. Any thread; may be told twice. */
  void handshakeOver(Channel child) {
    ctx.executor().execute(() -> leave(child));
  }

  private void leave(Channel child) {
    boolean wasFull = inHandshake.size() == limit;
    if (inHandshake.remove(child) && wasFull) {
      ctx.channel().config().setAutoRead(true);
    }
  }
}
