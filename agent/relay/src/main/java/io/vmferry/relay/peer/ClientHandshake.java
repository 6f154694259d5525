// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.peer;

import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.SimpleChannelInboundHandler;
import io.netty.handler.ssl.SslHandler;
import io.netty.handler.ssl.SslHandshakeCompletionEvent;
import io.netty.util.concurrent.Future;
import io.vmferry.relay.peer.wire.Role;
import java.security.cert.CertificateException;
import java.util.concurrent.TimeUnit;

/**
 * Connecting side of the set-up: TLS, the check that the node reached is the one meant, the hello.
 * Gives way to a {@link CallDispatcher}, or ends the connection; tells one of both, once.
 */
final class ClientHandshake extends SimpleChannelInboundHandler<PeerFrame> {
  private final PeerSetup setup;
  private final String node;
  private final Role role;
  private final Heartbeat heartbeat;
  private final FrameDecoder decoder;
  private final Outcome outcome;
  private Future<?> timeout;
  private boolean decided;

  /** Told how the set-up ended, on the event loop. */
  interface Outcome {
    /** The connection stands; {@link #lost} will follow. */
    void established(CallDispatcher connection);

    /** The connection that stood is lost. */
    void lost(String reason);

    /** The connection was never established. */
    void failed(String reason);
  }

  ClientHandshake(
      PeerSetup setup,
      String node,
      Role role,
      Heartbeat heartbeat,
      FrameDecoder decoder,
      Outcome outcome) {
    super(PeerFrame.class);
    this.setup = setup;
    this.node = node;
    this.role = role;
    this.heartbeat = heartbeat;
    this.decoder = decoder;
    this.outcome = outcome;
  }

  @Override
  public void channelActive(ChannelHandlerContext ctx) {
    timeout =
        ctx.executor()
            .schedule(
                () -> fail(ctx, "no hello within " + PeerSockets.SETUP_TIMEOUT_MILLIS + " ms"),
                PeerSockets.SETUP_TIMEOUT_MILLIS,
                TimeUnit.MILLISECONDS);
    ctx.fireChannelActive();
  }

  @Override
  public void handlerRemoved(ChannelHandlerContext ctx) {
    if (timeout != null) {
      timeout.cancel(false);
    }
  }

  @Override
  public void userEventTriggered(ChannelHandlerContext ctx, Object event) {
    if (event instanceof SslHandshakeCompletionEvent handshake) {
      if (!handshake.isSuccess()) {
        fail(ctx, Failures.describe(handshake.cause()));
        return;
      }
      sayHello(ctx);
    }
  }

  @Override
  protected void channelRead0(ChannelHandlerContext ctx, PeerFrame message) {
    if (decided) {
      return;
    }
    String problem = HelloRules.problem(message.header(), setup.node(), node, role);
    if (problem != null) {
      fail(ctx, problem);
      return;
    }
    decided = true;
    decoder.limits(FrameLimits.of(role));
    CallDispatcher connection = new CallDispatcher(node, role, setup.nanoTime(), outcome::lost);
    ctx.pipeline().replace(this, "calls", connection);
    outcome.established(connection);
    heartbeat.start(
        Heartbeat.CLIENT_SILENT_BEATS,
        connection::beat,
        () -> connection.end("nothing heard for " + Heartbeat.CLIENT_SILENT_BEATS + " s"));
  }

  @Override
  public void exceptionCaught(ChannelHandlerContext ctx, Throwable cause) {
    fail(ctx, Failures.describe(cause));
  }

  @Override
  public void channelInactive(ChannelHandlerContext ctx) {
    fail(ctx, "the peer closed the connection before its hello; its log says why");
  }

  private void sayHello(ChannelHandlerContext ctx) {
    String problem;
    try {
      SslHandler tls = ctx.pipeline().get(SslHandler.class);
      String certified = NodeCertificate.peerOf(tls.engine().getSession());
      problem = HelloRules.identityProblem(certified, node);
    } catch (CertificateException e) {
      problem = "its certificate names no node: " + e.getMessage();
    }
    if (problem != null) {
      fail(ctx, problem);
      return;
    }
    // Requests and pings are numbered from 1 on; the hello has the number before.
    var unused =
        ctx.writeAndFlush(PeerFrame.of(HelloRules.hello(0, setup.node(), role, setup.software())));
  }

  private void fail(ChannelHandlerContext ctx, String reason) {
    if (!decided) {
      decided = true;
      var unused = ctx.close();
      outcome.failed(reason);
    }
  }
}
