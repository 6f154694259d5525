// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.peer;

import io.netty.channel.ChannelFuture;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.SimpleChannelInboundHandler;
import io.vmferry.relay.peer.wire.Frame;
import io.vmferry.relay.peer.wire.Pong;
import io.vmferry.relay.peer.wire.Refused;
import io.vmferry.relay.peer.wire.Role;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.atomic.AtomicInteger;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Listening side of an established connection: passes requests on, sends answers back. */
final class RequestDispatcher extends SimpleChannelInboundHandler<PeerFrame> {
  private static final Logger LOG = LoggerFactory.getLogger(RequestDispatcher.class);

  /**
   * Requests of one connection that may be unanswered. The copy engine's window is some hundred at
   * most; beyond that the peer is broken, and its requests must not fill the memory here.
   */
  static final int MAX_REQUESTS = 4096;

  private final String peer;
  private final Role role;
  private final PeerService service;
  private final AtomicInteger requests = new AtomicInteger();
  private final Deque<Runnable> waitingForQueue = new ArrayDeque<>();
  private ChannelHandlerContext context;
  private boolean over;
  private volatile boolean fenced;

  RequestDispatcher(String peer, Role role, PeerService service) {
    super(PeerFrame.class);
    this.peer = peer;
    this.role = role;
    this.service = service;
  }

  @Override
  public void handlerAdded(ChannelHandlerContext ctx) {
    context = ctx;
  }

  @Override
  protected void channelRead0(ChannelHandlerContext ctx, PeerFrame message) {
    Frame request = message.header();
    if (over || fenced) {
      return;
    }
    if (request.hasPing()) {
      Frame.Builder pong = Frame.newBuilder().setPong(Pong.getDefaultInstance());
      send(PeerFrame.of(pong.setId(request.getId()).setLast(true).build()));
      return;
    }
    requests.incrementAndGet();
    ChannelResponder responder = new ChannelResponder(this, request.getId());
    Refused refused = RequestRules.refusal(role, request, message.payload().readableBytes());
    if (refused == null && requests.get() > MAX_REQUESTS) {
      refused =
          RequestRules.refused(
              Refused.Code.BUSY, MAX_REQUESTS + " requests are unanswered; wait for answers");
    }
    if (refused != null) {
      LOG.warn("Refused a request of peer {} ({}): {}", peer, role, refused.getMessage());
      responder.answer(Frame.newBuilder().setRefused(refused), null, true);
      return;
    }
    try {
      service.handle(peer, role, request, responder);
    } catch (RuntimeException e) {
      LOG.error("Request {} of peer {} failed", request.getBodyCase(), peer, e);
      responder.fail("internal error at the peer: " + e + "; see its log");
    }
  }

  @Override
  public void channelWritabilityChanged(ChannelHandlerContext ctx) {
    resumeWaiting();
  }

  @Override
  public void channelInactive(ChannelHandlerContext ctx) {
    end("the peer closed it");
    resumeWaiting();
  }

  @Override
  public void exceptionCaught(ChannelHandlerContext ctx, Throwable cause) {
    if (!Failures.isOfConnection(cause)) {
      LOG.error("Bug in the connection of peer {} ({})", peer, role, cause);
    }
    end(Failures.describe(cause));
    var unused = ctx.close();
  }

  /** The heartbeat heard nothing for too long. On the event loop. */
  void silent() {
    end("nothing heard for " + Heartbeat.SERVER_SILENT_BEATS + " s");
    var unused = context.close();
  }

  /** The peer has a newer connection: nothing is carried out for this one any more. Any thread. */
  void fence() {
    fenced = true;
    try {
      context
          .executor()
          .execute(
              () -> {
                end("the peer has a newer connection");
                var unused = context.close();
              });
    } catch (RejectedExecutionException e) {
      LOG.debug("The event loops have shut down, and the connection of {} with them", peer);
    }
  }

  /** See {@link PeerService.Responder#fenced}. */
  boolean fenced() {
    return fenced;
  }

  /** Limits of frames on this connection. */
  FrameLimits limits() {
    return FrameLimits.of(role);
  }

  /** Sends a frame, or releases it if the connection is gone. Any thread. */
  void send(PeerFrame frame) {
    ChannelFuture sent = context.writeAndFlush(frame);
    sent.addListener(
        done -> {
          // An answer that can't be written would leave its request without an end.
          if (!done.isSuccess() && context.channel().isActive()) {
            exceptionCaught(context, done.cause());
          }
        });
  }

  /** One request has got its last answer. Any thread. */
  void answered() {
    requests.decrementAndGet();
  }

  /** See {@link PeerService.Responder#queuedBytes}. */
  long queuedBytes() {
    var queue = context.channel().unsafe().outboundBuffer();
    return queue == null ? 0 : queue.totalPendingWriteBytes();
  }

  /** See {@link PeerService.Responder#whenWritable}. */
  void whenWritable(Runnable resume) {
    try {
      context
          .executor()
          .execute(
              () -> {
                waitingForQueue.add(resume);
                resumeWaiting();
              });
    } catch (RejectedExecutionException e) {
      // The event loops have shut down, and the connection with them.
      resume.run();
    }
  }

  /** One after the other, so that those who wait don't overfill the queue together. */
  private void resumeWaiting() {
    while (!waitingForQueue.isEmpty()
        && (context.channel().isWritable() || !context.channel().isActive())) {
      try {
        waitingForQueue.remove().run();
      } catch (RuntimeException e) {
        LOG.error("Answering peer {} could not go on", peer, e);
      }
    }
  }

  private void end(String reason) {
    if (!over) {
      over = true;
      LOG.info(
          "Connection of peer {} ({}, {}) ended: {}",
          peer,
          role,
          context.channel().remoteAddress(),
          reason);
    }
  }
}
