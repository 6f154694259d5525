// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.peer;

import io.netty.channel.ChannelFutureListener;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.SimpleChannelInboundHandler;
import io.netty.handler.ssl.SslHandler;
import io.netty.handler.ssl.SslHandshakeCompletionEvent;
import io.netty.util.concurrent.Future;
import io.vmferry.relay.peer.wire.Frame;
import io.vmferry.relay.peer.wire.Refused;
import io.vmferry.relay.peer.wire.Role;
import java.security.cert.CertificateException;
import java.util.concurrent.TimeUnit;
import java.util.function.Predicate;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Listening side of the set-up: TLS, then the hello. Gives way to a {@link RequestDispatcher}, or
 * ends the connection with exactly one line in the log.
 */
final class ServerHandshake extends SimpleChannelInboundHandler<PeerFrame> {
  private static final Logger LOG = LoggerFactory.getLogger(ServerHandshake.class);

  private final PeerSetup setup;
  private final Predicate<String> knownPeer;
  private final PeerService service;
  private final Heartbeat heartbeat;
  private final FrameDecoder decoder;
  private final Runnable whenAdmitted;
  private final ControlFence fence;
  private Future<?> timeout;
  private String certified;
  private boolean decided;

  /**
   * @param whenAdmitted runs when the hello is accepted
   * @param fence of all connections of the server
   */
  ServerHandshake(
      PeerSetup setup,
      Predicate<String> knownPeer,
      PeerService service,
      Heartbeat heartbeat,
      FrameDecoder decoder,
      Runnable whenAdmitted,
      ControlFence fence) {
    super(PeerFrame.class);
    this.setup = setup;
    this.knownPeer = knownPeer;
    this.service = service;
    this.heartbeat = heartbeat;
    this.decoder = decoder;
    this.whenAdmitted = whenAdmitted;
    this.fence = fence;
  }

  @Override
  public void handlerAdded(ChannelHandlerContext ctx) {
    timeout =
        ctx.executor()
            .schedule(
                () -> fail(ctx, "no hello within " + PeerSockets.SETUP_TIMEOUT_MILLIS + " ms"),
                PeerSockets.SETUP_TIMEOUT_MILLIS,
                TimeUnit.MILLISECONDS);
  }

  @Override
  public void handlerRemoved(ChannelHandlerContext ctx) {
    timeout.cancel(false);
  }

  @Override
  public void userEventTriggered(ChannelHandlerContext ctx, Object event) {
    if (event instanceof SslHandshakeCompletionEvent handshake) {
      if (!handshake.isSuccess()) {
        fail(ctx, Failures.describe(handshake.cause()));
        return;
      }
      try {
        SslHandler tls = ctx.pipeline().get(SslHandler.class);
        certified = NodeCertificate.peerOf(tls.engine().getSession());
      } catch (CertificateException e) {
        fail(ctx, "its certificate names no node: " + e.getMessage());
      }
    }
  }

  @Override
  protected void channelRead0(ChannelHandlerContext ctx, PeerFrame message) {
    if (decided) {
      return;
    }
    Frame first = message.header();
    Refused refused = HelloRules.refusal(first, setup.node(), certified, knownPeer);
    if (refused == null) {
      admit(ctx, first);
      return;
    }
    decide(ctx, refused.getMessage());
    Frame answer =
        Frame.newBuilder().setId(first.getId()).setLast(true).setRefused(refused).build();
    var unused = ctx.writeAndFlush(PeerFrame.of(answer)).addListener(ChannelFutureListener.CLOSE);
  }

  @Override
  public void exceptionCaught(ChannelHandlerContext ctx, Throwable cause) {
    fail(ctx, Failures.describe(cause));
  }

  @Override
  public void channelInactive(ChannelHandlerContext ctx) {
    fail(ctx, "it closed the connection before its hello");
  }

  private void admit(ChannelHandlerContext ctx, Frame first) {
    decided = true;
    whenAdmitted.run();
    ctx.channel().attr(PeerServer.NODE).set(certified);
    Role role = first.getHello().getRole();
    decoder.limits(FrameLimits.of(role));
    LOG.debug(
        "Peer {} ({}) connected from {} for {}",
        certified,
        first.getHello().getSoftware(),
        ctx.channel().remoteAddress(),
        role);
    RequestDispatcher dispatcher = new RequestDispatcher(certified, role, service);
    ctx.pipeline().replace(this, "requests", dispatcher);
    if (role == Role.CONTROL) {
      // Before the answer, and so before anything that the peer asks on this connection.
      fence.admit(certified, dispatcher);
      ctx.channel().closeFuture().addListener(closed -> fence.gone(certified, dispatcher));
      service.connected(certified);
    }
    Frame hello = HelloRules.hello(first.getId(), setup.node(), role, setup.software());
    var unused = ctx.channel().writeAndFlush(PeerFrame.of(hello));
    heartbeat.start(Heartbeat.SERVER_SILENT_BEATS, () -> {}, dispatcher::silent);
  }

  private void fail(ChannelHandlerContext ctx, String reason) {
    if (!decided) {
      decide(ctx, reason);
      var unused = ctx.close();
    }
  }

  private void decide(ChannelHandlerContext ctx, String reason) {
    decided = true;
    LOG.warn(
        "Refused a peer connection from {}{}: {}",
        ctx.channel().remoteAddress(),
        certified == null ? "" : " (node " + certified + ")",
        reason);
  }
}
