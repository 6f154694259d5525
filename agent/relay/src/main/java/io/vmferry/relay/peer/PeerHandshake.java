// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.peer;

import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.SimpleChannelInboundHandler;
import io.netty.handler.ssl.SslHandler;
import io.netty.handler.ssl.SslHandshakeCompletionEvent;
import io.netty.util.concurrent.Future;
import io.vmferry.relay.peer.wire.Frame;
import java.security.cert.CertificateException;
import java.util.concurrent.TimeUnit;

/**
 * What both sides of the set-up of a connection have in common: a time limit, TLS with the node's
 * name in the other side's certificate, then one frame that decides. It is decided once; whatever
 * comes later is ignored. On the connection's event loop.
 */
abstract class PeerHandshake extends SimpleChannelInboundHandler<PeerFrame> {
  private Future<?> timeout;
  private boolean decided;

  PeerHandshake() {
    super(PeerFrame.class);
  }

  /** TLS stands; {@code node} is who the other side is. */
  abstract void secured(ChannelHandlerContext ctx, String node);

  /** The first frame has come; {@link #decide} or {@link #fail} must follow. */
  abstract void received(ChannelHandlerContext ctx, Frame first);

  /** The other side closed the connection before anything was decided. Returns why, for people. */
  abstract String closedEarly();

  /** The connection won't stand; told once. */
  abstract void failed(ChannelHandlerContext ctx, String reason);

  /** From now on the time until {@link #decide} is limited. */
  final void limitTime(ChannelHandlerContext ctx) {
    timeout =
        ctx.executor()
            .schedule(
                () -> fail(ctx, "no hello within " + PeerSockets.SETUP_TIMEOUT_MILLIS + " ms"),
                PeerSockets.SETUP_TIMEOUT_MILLIS,
                TimeUnit.MILLISECONDS);
  }

  /** What becomes of the connection is in the hands of the caller. */
  final void decide() {
    decided = true;
  }

  /** Ends the connection, unless it was decided already. */
  final void fail(ChannelHandlerContext ctx, String reason) {
    if (!decided) {
      decided = true;
      failed(ctx, reason);
      var unused = ctx.close();
    }
  }

  @Override
  public final void handlerRemoved(ChannelHandlerContext ctx) {
    if (timeout != null) {
      timeout.cancel(false);
    }
  }

  @Override
  public final void userEventTriggered(ChannelHandlerContext ctx, Object event) {
    if (event instanceof SslHandshakeCompletionEvent handshake) {
      if (!handshake.isSuccess()) {
        fail(ctx, Failures.describe(handshake.cause()));
        return;
      }
      String node;
      try {
        SslHandler tls = ctx.pipeline().get(SslHandler.class);
        node = NodeCertificate.peerOf(tls.engine().getSession());
      } catch (CertificateException e) {
        fail(ctx, "its certificate names no node: " + e.getMessage());
        return;
      }
      secured(ctx, node);
    }
  }

  @Override
  protected final void channelRead0(ChannelHandlerContext ctx, PeerFrame message) {
    if (!decided) {
      received(ctx, message.header());
    }
  }

  @Override
  public final void exceptionCaught(ChannelHandlerContext ctx, Throwable cause) {
    fail(ctx, Failures.describe(cause));
  }

  @Override
  public final void channelInactive(ChannelHandlerContext ctx) {
    fail(ctx, closedEarly());
  }
}
