// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.peer;

import io.netty.channel.ChannelHandlerContext;
import io.vmferry.relay.peer.wire.Frame;
import io.vmferry.relay.peer.wire.Role;

/**
 * Connecting side of the set-up: TLS, the check that the node reached is the one meant, the hello.
 * Gives way to a {@link CallDispatcher}, or ends the connection; tells one of both, once.
 */
final class ClientHandshake extends PeerHandshake {
  private final PeerSetup setup;
  private final String node;
  private final Role role;
  private final Heartbeat heartbeat;
  private final FrameDecoder decoder;
  private final Outcome outcome;

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
    this.setup = setup;
    this.node = node;
    this.role = role;
    this.heartbeat = heartbeat;
    this.decoder = decoder;
    this.outcome = outcome;
  }

  /** The time until then has a limit of its own. */
  @Override
  public void channelActive(ChannelHandlerContext ctx) {
    limitTime(ctx);
    ctx.fireChannelActive();
  }

  @Override
  void secured(ChannelHandlerContext ctx, String certified) {
    String problem = HelloRules.identityProblem(certified, node);
    if (problem != null) {
      fail(ctx, problem);
      return;
    }
    // Requests and pings are numbered from 1 on; the hello has the number before.
    var unused =
        ctx.writeAndFlush(PeerFrame.of(HelloRules.hello(0, setup.node(), role, setup.software())));
  }

  @Override
  void received(ChannelHandlerContext ctx, Frame first) {
    String problem = HelloRules.problem(first, setup.node(), node, role);
    if (problem != null) {
      fail(ctx, problem);
      return;
    }
    decide();
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
  String closedEarly() {
    return "the peer closed the connection before its hello; its log says why";
  }

  @Override
  void failed(ChannelHandlerContext ctx, String reason) {
    outcome.failed(reason);
  }
}
