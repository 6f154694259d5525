// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.peer;

import io.netty.channel.ChannelFutureListener;
import io.netty.channel.ChannelHandlerContext;
import io.vmferry.relay.peer.wire.Frame;
import io.vmferry.relay.peer.wire.Refused;
import io.vmferry.relay.peer.wire.Role;
import java.util.function.Predicate;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Listening side of the set-up: TLS, then the hello. Gives way to a {@link RequestDispatcher}, or
 * ends the connection with exactly one line in the log.
 */
final class ServerHandshake extends PeerHandshake {
  private static final Logger LOG = LoggerFactory.getLogger(ServerHandshake.class);

  private final PeerSetup setup;
  private final Predicate<String> knownPeer;
  private final PeerService service;
  private final Heartbeat heartbeat;
  private final FrameDecoder decoder;
  private final Runnable whenAdmitted;
  private final ControlFence fence;
  private String certified;

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
    limitTime(ctx);
  }

  @Override
  void secured(ChannelHandlerContext ctx, String node) {
    certified = node;
  }

  @Override
  void received(ChannelHandlerContext ctx, Frame first) {
    Refused refused = HelloRules.refusal(first, setup.node(), certified, knownPeer);
    decide();
    if (refused == null) {
      admit(ctx, first);
      return;
    }
    failed(ctx, refused.getMessage());
    Frame answer =
        Frame.newBuilder().setId(first.getId()).setLast(true).setRefused(refused).build();
    var unused = ctx.writeAndFlush(PeerFrame.of(answer)).addListener(ChannelFutureListener.CLOSE);
  }

  private void admit(ChannelHandlerContext ctx, Frame first) {
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

  @Override
  String closedEarly() {
    return "it closed the connection before its hello";
  }

  @Override
  void failed(ChannelHandlerContext ctx, String reason) {
    LOG.warn(
        "Refused a peer connection from {}{}: {}",
        ctx.channel().remoteAddress(),
        certified == null ? "" : " (node " + certified + ")",
        reason);
  }
}
