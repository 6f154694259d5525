// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.peer;

import io.netty.channel.ChannelFutureListener;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.SimpleChannelInboundHandler;
import io.vmferry.relay.peer.wire.Frame;
import io.vmferry.relay.peer.wire.Ping;
import io.vmferry.relay.peer.wire.Role;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;
import java.util.function.LongSupplier;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Connecting side of an established connection: numbers requests, finds the call an answer belongs
 * to, pings. Confined to the event loop, except {@link #roundTrip}.
 */
final class CallDispatcher extends SimpleChannelInboundHandler<PeerFrame> {
  private static final Logger LOG = LoggerFactory.getLogger(CallDispatcher.class);

  private final String node;
  private final Role role;
  private final LongSupplier nanoTime;
  private final Consumer<String> lost;
  private final Map<Long, PeerCall> calls = new LinkedHashMap<>();
  private final RttEstimate rtt = new RttEstimate();
  private ChannelHandlerContext context;
  private long lastId;
  private long pingId;
  private long pingedAt;
  private String endReason;

  /**
   * @param lost told once why the connection ended, after all calls were ended
   */
  CallDispatcher(String node, Role role, LongSupplier nanoTime, Consumer<String> lost) {
    super(PeerFrame.class);
    this.node = node;
    this.role = role;
    this.nanoTime = nanoTime;
    this.lost = lost;
  }

  @Override
  public void handlerAdded(ChannelHandlerContext ctx) {
    context = ctx;
  }

  /** Of this connection. Any thread. */
  RoundTrip roundTrip() {
    return rtt.roundTrip();
  }

  /** Sends the request; the call gets its end in every case. */
  void send(PeerCall call) {
    if (endReason != null) {
      call.end(new LinkDownException(node, role, endReason));
      return;
    }
    long id = ++lastId;
    calls.put(id, call);
    write(call.request().toBuilder().setId(id).build());
  }

  /** Sends a ping, unless one is still unanswered. */
  void beat() {
    if (pingId == 0) {
      pingId = ++lastId;
      pingedAt = nanoTime.getAsLong();
      write(
          Frame.newBuilder()
              .setId(pingId)
              .setLast(true)
              .setPing(Ping.getDefaultInstance())
              .build());
    }
  }

  /** Ends the connection and all calls; only the first reason counts. */
  void end(String reason) {
    if (endReason != null) {
      return;
    }
    endReason = reason;
    List<PeerCall> unanswered = new ArrayList<>(calls.values());
    calls.clear();
    for (PeerCall call : unanswered) {
      call.end(new LinkDownException(node, role, reason));
    }
    var unused = context.close();
    lost.accept(reason);
  }

  @Override
  protected void channelRead0(ChannelHandlerContext ctx, PeerFrame message) {
    if (endReason != null) {
      return;
    }
    Frame answer = message.header();
    if (answer.hasPong()) {
      pong(answer.getId());
      return;
    }
    PeerCall call = calls.get(answer.getId());
    String problem =
        call == null
            ? "answer " + answer.getBodyCase() + " to request " + answer.getId() + ", never asked"
            : AnswerRules.problem(answer, message.payload().readableBytes());
    if (problem != null) {
      end("broken answer: " + problem);
      return;
    }
    call.frame(answer, message.payload());
    if (answer.getLast()) {
      calls.remove(answer.getId());
      call.end(null);
    }
  }

  @Override
  public void channelInactive(ChannelHandlerContext ctx) {
    end("the peer closed the connection");
  }

  @Override
  public void exceptionCaught(ChannelHandlerContext ctx, Throwable cause) {
    if (!Failures.isOfConnection(cause)) {
      LOG.error("Bug in the connection to peer {} ({})", node, role, cause);
    }
    end(Failures.describe(cause));
  }

  private void pong(long id) {
    if (id == pingId) {
      pingId = 0;
      long now = nanoTime.getAsLong();
      rtt.sample(now, now - pingedAt);
    }
  }

  private void write(Frame frame) {
    context
        .writeAndFlush(PeerFrame.of(frame))
        .addListener(
            (ChannelFutureListener)
                done -> {
                  if (!done.isSuccess()) {
                    end(Failures.describe(done.cause()));
                  }
                });
  }
}
