// SPDX-License-Identifier: Apache-2.0
package io.vmferry.nbd;

import static io.vmferry.nbd.NbdProtocol.CMD_BLOCK_STATUS;
import static io.vmferry.nbd.NbdProtocol.CMD_CACHE;
import static io.vmferry.nbd.NbdProtocol.CMD_DISC;
import static io.vmferry.nbd.NbdProtocol.CMD_FLAG_FAST_ZERO;
import static io.vmferry.nbd.NbdProtocol.CMD_FLAG_FUA;
import static io.vmferry.nbd.NbdProtocol.CMD_FLAG_NO_HOLE;
import static io.vmferry.nbd.NbdProtocol.CMD_FLAG_REQ_ONE;
import static io.vmferry.nbd.NbdProtocol.CMD_FLUSH;
import static io.vmferry.nbd.NbdProtocol.CMD_READ;
import static io.vmferry.nbd.NbdProtocol.CMD_TRIM;
import static io.vmferry.nbd.NbdProtocol.CMD_WRITE_ZEROES;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.Unpooled;
import io.netty.channel.ChannelFutureListener;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelInboundHandlerAdapter;
import java.io.IOException;
import java.util.ArrayDeque;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The transmission phase of one connection: takes decoded requests, lets {@link RequestValidator}
 * decide, hands them to the session, and writes the replies, in whatever order they come.
 *
 * <p>A request is started only when there is room for it: few enough in flight, few enough payload
 * bytes in flight, few enough reply bytes that the client hasn't taken. Until then nothing more is
 * read from the socket.
 */
final class TransmissionHandler extends ChannelInboundHandlerAdapter {
  private static final Logger log = LoggerFactory.getLogger(TransmissionHandler.class);

  private final NbdClient client;
  private final NbdSession session;
  private final Negotiated negotiated;
  private final RequestValidator validator;
  private final ArrayDeque<ByteBuf> unread = new ArrayDeque<>();
  private final ReplyPool<OpenReply> plainReplies = new ReplyPool<>(() -> new OpenReply(this));
  private final ReplyPool<OpenReply.Read> readReplies =
      new ReplyPool<>(() -> new OpenReply.Read(this));

  private ChannelHandlerContext ctx;
  private RequestDecoder decoder;
  private ReplyWriter replies;

  /** A request is decoded and {@link #refusal} is known, but it has not been started. */
  private boolean waitingForRoom;

  /** Verdict on the request being decoded; null if it may be executed. */
  private Refusal refusal;

  private int inFlight;
  private long bytesInFlight;
  private long refused;

  /** Between channelRead and channelReadComplete, where one flush is certain to come. */
  private boolean inReadBatch;

  private boolean processing;
  private boolean disconnected;
  private boolean stopping;

  /** No request is decoded any more; the connection ends when what was written is sent. */
  private boolean ending;

  /** The channel is gone: replies go nowhere. */
  private boolean closed;

  TransmissionHandler(NbdClient client, Negotiated negotiated, NbdSession session) {
    this.client = client;
    this.session = session;
    this.negotiated = negotiated;
    validator = new RequestValidator(negotiated);
  }

  @Override
  public void handlerAdded(ChannelHandlerContext context) {
    ctx = context;
    decoder = new RequestDecoder(ctx.alloc());
    replies = new ReplyWriter(ctx, negotiated.structuredReplies());
    ReceiveBuffers buffers = ReceiveBuffers.of(ctx.channel());
    if (buffers != null) {
      buffers.use(decoder);
    }
  }

  @Override
  public void channelRead(ChannelHandlerContext context, Object message) {
    ByteBuf in = (ByteBuf) message;
    if (ending || disconnected) {
      in.release();
      return;
    }
    inReadBatch = true;
    if (decoder.isPayload(in)) {
      in.release(); // the decoder has it too
    } else {
      unread.add(in);
    }
    process();
  }

  @Override
  public void channelReadComplete(ChannelHandlerContext context) {
    inReadBatch = false;
    replies.flush();
  }

  @Override
  public void channelWritabilityChanged(ChannelHandlerContext context) {
    process();
  }

  @Override
  public void userEventTriggered(ChannelHandlerContext context, Object event) {
    if (event == ServerStopping.EVENT) {
      stopping = true;
      process();
      endIfIdle();
    }
  }

  @Override
  public void channelInactive(ChannelHandlerContext context) {
    closed = true;
    ending = true;
    while (!unread.isEmpty()) {
      unread.remove().release();
    }
    decoder.release();
    replies.release();
    if (refused > NbdLimits.MAX_LOGGED_REFUSALS) {
      log.warn("{}: {} requests were refused or failed in all", client, refused);
    }
    log.info("{}: {}", client, disconnected ? "disconnected" : "connection lost without DISC");
    session.closed(disconnected);
  }

  @Override
  public void exceptionCaught(ChannelHandlerContext context, Throwable cause) {
    if (cause instanceof IOException) {
      log.debug("{}: connection lost: {}", client, cause.getMessage());
    } else {
      log.error("{}: closed after an internal error", client, cause);
    }
    ending = true;
    var unused = ctx.close();
  }

  void requireEventLoop() {
    if (!ctx.executor().inEventLoop()) {
      throw new IllegalStateException(
          "an NBD reply must be completed on its connection's event loop, not on "
              + Thread.currentThread().getName());
    }
  }

  /** See {@link ReplyWriter#socket}. */
  int socket() {
    return closed ? -1 : replies.socket();
  }

  void succeeded(OpenReply reply) {
    if (closed) {
      reply.discard();
    } else {
      reply.writeTo(replies);
    }
    answered(reply);
  }

  void failed(OpenReply reply, NbdError error, String why) {
    reply.discard();
    if (!closed) {
      logRefusal(reply.commandName(), error, why);
      replies.error(reply.cookie(), error, why);
    }
    answered(reply);
  }

  private void answered(OpenReply reply) {
    inFlight--;
    bytesInFlight -= reply.payloadBytes();
    if (reply instanceof OpenReply.Read read) {
      readReplies.give(read);
    } else if (!(reply instanceof OpenReply.Status)) {
      plainReplies.give(reply);
    }
    if (closed) {
      return;
    }
    if (waitingForRoom) {
      process();
    }
    endIfIdle();
    if (!inReadBatch) {
      replies.flushSoon();
    }
  }

  private void process() {
    if (processing) {
      return;
    }
    processing = true;
    try {
      while (!ending && step()) {
        // Each step is one piece of a request.
      }
    } catch (RuntimeException | OutOfMemoryError e) {
      // Here and not in the pipeline, which doesn't see what happens after a late reply. Netty
      // throws OutOfMemoryError at the limit of direct memory, which others may soon give back.
      exceptionCaught(ctx, e);
    } finally {
      processing = false;
    }
    // Want of room is the only reason not to read.
    boolean mayRead = ending || !waitingForRoom;
    if (ctx.channel().config().isAutoRead() != mayRead) {
      ctx.channel().config().setAutoRead(mayRead);
    }
  }

  private boolean step() {
    if (waitingForRoom) {
      if (!hasRoom()) {
        return false;
      }
      waitingForRoom = false;
      start(decoder.request());
      return true;
    }
    if (decoder.payloadReceived()) {
      write(decoder.request(), decoder.takePayload());
      return true;
    }
    ByteBuf in = unread.peek();
    if (in == null) {
      return false;
    }
    switch (decoder.next(in)) {
      case NEED_MORE -> unread.remove().release();
      case REQUEST -> {
        refusal = validator.check(decoder.request());
        waitingForRoom = true;
      }
      case PAYLOAD -> write(decoder.request(), decoder.takePayload());
      case SKIPPED -> refuse(decoder.request());
      case BAD_MAGIC -> {
        log.warn("{}: closed, a request doesn't begin with the magic number", client);
        end();
      }
    }
    return true;
  }

  private boolean hasRoom() {
    long bytes = refusal == null ? decoder.request().payloadBytes() : 0;
    return inFlight < NbdLimits.MAX_REQUESTS_IN_FLIGHT
        && (bytesInFlight == 0 || bytesInFlight + bytes <= NbdLimits.MAX_BYTES_IN_FLIGHT)
        && ctx.channel().isWritable();
  }

  private void start(Request request) {
    if (request.type == CMD_DISC) {
      disconnect();
      return;
    }
    if (stopping) {
      refusal = Refusal.STOPPING;
    }
    if (request.isWrite() && request.length > 0) {
      if (refusal == null) {
        decoder.expectPayload();
      } else {
        decoder.skipPayload();
      }
    } else if (refusal == null) {
      execute(request);
    } else {
      refuse(request);
    }
  }

  private void refuse(Request request) {
    logRefusal(request.toString(), refusal.error(), refusal.text());
    replies.error(request.cookie, refusal.error(), refusal.text());
    if (!inReadBatch) {
      replies.flushSoon();
    }
  }

  private void write(Request request, ByteBuf data) {
    if (stopping) {
      data.release();
      refusal = Refusal.STOPPING;
      refuse(request);
      return;
    }
    OpenReply reply = open(plainReplies.take(), request);
    try {
      session.write(request.offset, data, request.has(CMD_FLAG_FUA), reply);
    } catch (RuntimeException e) {
      sessionFailed(reply, e);
    }
  }

  private void execute(Request request) {
    switch (request.type) {
      case CMD_READ -> read(request);
      case CMD_BLOCK_STATUS -> blockStatus(request);
      default -> {
        OpenReply reply = open(plainReplies.take(), request);
        try {
          execute(request, reply);
        } catch (RuntimeException e) {
          sessionFailed(reply, e);
        }
      }
    }
  }

  private void execute(Request request, OpenReply reply) {
    boolean fua = request.has(CMD_FLAG_FUA);
    switch (request.type) {
      case CMD_FLUSH -> session.flush(reply);
      case CMD_TRIM -> session.trim(request.offset, request.length, fua, reply);
      case CMD_CACHE -> session.cache(request.offset, request.length, reply);
      case CMD_WRITE_ZEROES -> {
        boolean mayPunch = !request.has(CMD_FLAG_NO_HOLE);
        boolean fast = request.has(CMD_FLAG_FAST_ZERO);
        session.writeZeroes(request.offset, request.length, mayPunch, fast, fua, reply);
      }
      default -> throw new AssertionError(request);
    }
  }

  private void read(Request request) {
    int length = (int) request.length;
    ByteBuf buffer = replies.dataBuffer(request.cookie, request.offset, length);
    OpenReply.Read reply = readReplies.take();
    reply.open(request, buffer);
    started(request);
    try {
      session.read(request.offset, length, reply);
    } catch (RuntimeException e) {
      sessionFailed(reply, e);
    }
  }

  private void blockStatus(Request request) {
    int maxExtents = request.has(CMD_FLAG_REQ_ONE) ? 1 : NbdLimits.MAX_EXTENTS;
    ExtentList extents = new ExtentList(ctx.alloc(), request.length, maxExtents);
    OpenReply.Status reply = new OpenReply.Status(this, extents);
    open(reply, request);
    try {
      session.blockStatus(request.offset, request.length, reply);
    } catch (RuntimeException e) {
      sessionFailed(reply, e);
    }
  }

  private OpenReply open(OpenReply reply, Request request) {
    reply.open(request);
    started(request);
    return reply;
  }

  private void started(Request request) {
    inFlight++;
    bytesInFlight += request.payloadBytes();
  }

  /** A session that throws has not kept the reply; the client must not wait for ever. */
  private void sessionFailed(OpenReply reply, RuntimeException e) {
    log.error("{}: {} failed unexpectedly", client, reply.commandName(), e);
    if (reply.isOpen()) {
      reply.fail(NbdError.EIO, "internal error of the server; see its log");
    }
  }

  private void disconnect() {
    disconnected = true;
    while (!unread.isEmpty()) {
      unread.remove().release();
    }
    endIfIdle();
  }

  /** After DISC or when the server stops: what is in flight is finished, then the end. */
  private void endIfIdle() {
    if ((disconnected || stopping) && inFlight == 0) {
      end();
    }
  }

  private void end() {
    if (ending) {
      return;
    }
    ending = true;
    replies.flush();
    ctx.writeAndFlush(Unpooled.EMPTY_BUFFER).addListener(ChannelFutureListener.CLOSE);
  }

  private void logRefusal(String request, NbdError error, String why) {
    refused++;
    if (refused <= NbdLimits.MAX_LOGGED_REFUSALS) {
      log.warn("{}: {} answered {}: {}", client, request, error, why);
    }
  }
}
