// SPDX-License-Identifier: Apache-2.0
package io.vmferry.nbd;

import static io.vmferry.nbd.NbdProtocol.BASE_ALLOCATION;
import static io.vmferry.nbd.NbdProtocol.BASE_ALLOCATION_ID;
import static io.vmferry.nbd.NbdProtocol.BASE_NAMESPACE;
import static io.vmferry.nbd.NbdProtocol.FLAG_C_FIXED_NEWSTYLE;
import static io.vmferry.nbd.NbdProtocol.FLAG_C_NO_ZEROES;
import static io.vmferry.nbd.NbdProtocol.OPT_ABORT;
import static io.vmferry.nbd.NbdProtocol.OPT_EXPORT_NAME;
import static io.vmferry.nbd.NbdProtocol.OPT_GO;
import static io.vmferry.nbd.NbdProtocol.OPT_INFO;
import static io.vmferry.nbd.NbdProtocol.OPT_LIST;
import static io.vmferry.nbd.NbdProtocol.OPT_LIST_META_CONTEXT;
import static io.vmferry.nbd.NbdProtocol.OPT_SET_META_CONTEXT;
import static io.vmferry.nbd.NbdProtocol.OPT_STARTTLS;
import static io.vmferry.nbd.NbdProtocol.OPT_STRUCTURED_REPLY;
import static io.vmferry.nbd.NbdProtocol.REP_ERR_POLICY;
import static io.vmferry.nbd.NbdProtocol.REP_ERR_SHUTDOWN;
import static io.vmferry.nbd.NbdProtocol.REP_ERR_TOO_BIG;
import static io.vmferry.nbd.NbdProtocol.REP_ERR_UNKNOWN;
import static io.vmferry.nbd.NbdProtocol.REP_ERR_UNSUP;
import static io.vmferry.nbd.NbdProtocol.optionName;
import static io.vmferry.nbd.NbdProtocol.replyName;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.Unpooled;
import io.netty.channel.ChannelFutureListener;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelInboundHandlerAdapter;
import io.vmferry.nbd.OptionParser.ExportQuery;
import io.vmferry.nbd.OptionParser.MetaContextQuery;
import java.io.IOException;
import java.util.concurrent.CompletionException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The handshake of one connection: obeys options in order, one at a time, until one of them leads
 * to {@link TransmissionHandler} or to the end. While an export is looked up nothing is read and
 * the options that already came wait.
 */
final class HandshakeHandler extends ChannelInboundHandlerAdapter {
  private static final Logger log = LoggerFactory.getLogger(HandshakeHandler.class);

  /** What to do with an export that was found. */
  private interface WhenFound {
    void accept(NbdExport export) throws NbdExportException;
  }

  private final NbdExports exports;
  private final NbdClient client;
  private final Runnable whenNegotiated;

  private ChannelHandlerContext ctx;
  private OptionDecoder decoder;
  private OptionReplies replies;
  private HandshakeTimer timer;

  private boolean fixedNewstyle;
  private boolean zeroes;
  private boolean structuredReplies;

  /** The export that base:allocation was selected for; null if for none. */
  private String contextExport;

  private int options;
  private boolean processing;
  private boolean lookingUp;

  /** The option that waits for the look-up. */
  private int lookingUpFor;

  private boolean stopping;

  /** No option is obeyed any more: the connection is closing or in transmission. */
  private boolean over;

  private boolean decoderHandedOver;

  /**
   * @param whenNegotiated called on the event loop when the handshake has led to transmission
   */
  HandshakeHandler(NbdExports exports, NbdClient client, Runnable whenNegotiated) {
    this.exports = exports;
    this.client = client;
    this.whenNegotiated = whenNegotiated;
  }

  @Override
  public void handlerAdded(ChannelHandlerContext context) {
    ctx = context;
    decoder = new OptionDecoder(ctx.alloc());
    replies = new OptionReplies(ctx);
    timer =
        new HandshakeTimer(
            ctx.executor(),
            NbdLimits.HANDSHAKE_TIMEOUT,
            () -> {
              log.warn(
                  "{}: closed, the handshake wasn't finished in {} s",
                  client,
                  NbdLimits.HANDSHAKE_TIMEOUT.toSeconds());
              var unused = ctx.close();
            });
  }

  @Override
  public void handlerRemoved(ChannelHandlerContext context) {
    over = true;
    timer.pause();
    if (!decoderHandedOver) {
      decoder.release();
    }
  }

  @Override
  public void channelActive(ChannelHandlerContext context) {
    timer.resume();
    replies.greeting();
    ctx.flush();
  }

  @Override
  public void channelInactive(ChannelHandlerContext context) {
    over = true;
    timer.pause();
  }

  @Override
  public void channelRead(ChannelHandlerContext context, Object message) {
    ByteBuf in = (ByteBuf) message;
    if (over) {
      in.release();
      return;
    }
    decoder.feed(in);
    process();
  }

  @Override
  public void userEventTriggered(ChannelHandlerContext context, Object event) {
    if (event != ServerStopping.EVENT || over) {
      return;
    }
    stopping = true;
    if (lookingUp) {
      lookingUp = false;
      refuse(lookingUpFor, REP_ERR_SHUTDOWN, "The server is stopping; connect again later.");
    }
    process();
    hangUp("the server is stopping");
  }

  @Override
  public void exceptionCaught(ChannelHandlerContext context, Throwable cause) {
    if (cause instanceof IOException) {
      log.debug("{}: connection lost in the handshake: {}", client, cause.getMessage());
    } else {
      log.error("{}: closed, the handshake failed", client, cause);
    }
    over = true;
    var unused = ctx.close();
  }

  private void process() {
    if (processing) {
      return;
    }
    processing = true;
    try {
      while (!over && !lookingUp && step()) {
        // Each step obeys one option.
      }
    } catch (RuntimeException e) {
      // Here and not in the pipeline, which doesn't see what happens after a look-up.
      exceptionCaught(ctx, e);
    } finally {
      processing = false;
    }
    ctx.flush();
  }

  /** Obeys the next option; false if there is none yet. */
  private boolean step() {
    OptionDecoder.Event event = decoder.next();
    switch (event) {
      case NEED_MORE -> {}
      case CLIENT_FLAGS -> acceptClientFlags(decoder.clientFlags());
      case OPTION -> obey(decoder.option(), decoder.data());
      case OVERSIZED_OPTION -> refuseOversized(decoder.option());
      case UNREASONABLE_LENGTH ->
          hangUp(
              "%s claims %d bytes of data"
                  .formatted(optionName(decoder.option()), decoder.length()));
      case BAD_MAGIC -> hangUp("an option doesn't begin with IHAVEOPT");
    }
    return event != OptionDecoder.Event.NEED_MORE;
  }

  private void acceptClientFlags(int flags) {
    if ((flags & ~(FLAG_C_FIXED_NEWSTYLE | FLAG_C_NO_ZEROES)) != 0) {
      hangUp("unknown client flags 0x" + Integer.toHexString(flags));
      return;
    }
    fixedNewstyle = (flags & FLAG_C_FIXED_NEWSTYLE) != 0;
    zeroes = (flags & FLAG_C_NO_ZEROES) == 0;
  }

  private void obey(int option, ByteBuf data) {
    if (!mayObey(option)) {
      return;
    }
    try {
      switch (option) {
        case OPT_EXPORT_NAME -> {
          String name = OptionParser.exportName(data);
          lookUp(option, name, export -> startOldWay(name, export));
        }
        case OPT_ABORT -> {
          replies.ack(option);
          hangUp(null);
        }
        case OPT_LIST -> {
          OptionParser.requireEmpty(data);
          exports.names().forEach(name -> replies.server(option, name));
          replies.ack(option);
        }
        case OPT_INFO -> {
          ExportQuery query = OptionParser.exportQuery(data);
          lookUp(
              option, query.name(), export -> describe(option, query, negotiated(query, export)));
        }
        case OPT_GO -> {
          ExportQuery query = OptionParser.exportQuery(data);
          lookUp(option, query.name(), export -> start(query, export));
        }
        case OPT_STRUCTURED_REPLY -> {
          OptionParser.requireEmpty(data);
          structuredReplies = true;
          replies.ack(option);
        }
        case OPT_LIST_META_CONTEXT -> listMetaContexts(OptionParser.metaContextQuery(data));
        case OPT_SET_META_CONTEXT -> {
          // Whatever becomes of this one, the former selection is gone.
          contextExport = null;
          setMetaContexts(OptionParser.metaContextQuery(data));
        }
        case OPT_STARTTLS -> {
          OptionParser.requireEmpty(data);
          refuse(option, REP_ERR_UNSUP, "There is no TLS on this socket; go on without.");
        }
        default -> refuse(option, REP_ERR_UNSUP, "This server doesn't know the option.");
      }
    } catch (OptionException e) {
      refuse(option, e.replyType(), e.getMessage());
    }
  }

  /** The rules that hold for every option. */
  private boolean mayObey(int option) {
    options++;
    if (options > NbdLimits.MAX_OPTIONS) {
      hangUp("more than " + NbdLimits.MAX_OPTIONS + " options");
      return false;
    }
    if (!fixedNewstyle && option != OPT_EXPORT_NAME) {
      hangUp(optionName(option) + " from a client without C_FIXED_NEWSTYLE");
      return false;
    }
    if (stopping && option != OPT_ABORT) {
      refuse(option, REP_ERR_SHUTDOWN, "The server is stopping; connect again later.");
      return false;
    }
    return true;
  }

  private void refuseOversized(int option) {
    if (mayObey(option)) {
      refuse(
          option,
          REP_ERR_TOO_BIG,
          "The option has %d bytes; at most %d are allowed."
              .formatted(decoder.length(), NbdLimits.MAX_OPTION_BYTES));
    }
  }

  private void listMetaContexts(MetaContextQuery query) {
    int option = OPT_LIST_META_CONTEXT;
    lookUp(
        option,
        query.export(),
        export -> {
          if (query.contexts().isEmpty()
              || query.contexts().contains(BASE_NAMESPACE)
              || query.contexts().contains(BASE_ALLOCATION)) {
            replies.metaContext(option, BASE_ALLOCATION_ID, BASE_ALLOCATION);
          }
          replies.ack(option);
        });
  }

  private void setMetaContexts(MetaContextQuery query) throws OptionException {
    int option = OPT_SET_META_CONTEXT;
    if (!structuredReplies) {
      throw OptionException.invalid("Negotiate STRUCTURED_REPLY before SET_META_CONTEXT.");
    }
    lookUp(
        option,
        query.export(),
        export -> {
          if (query.contexts().contains(BASE_ALLOCATION)) {
            contextExport = query.export();
            replies.metaContext(option, BASE_ALLOCATION_ID, BASE_ALLOCATION);
          }
          replies.ack(option);
        });
  }

  private Negotiated negotiated(ExportQuery query, NbdExport export) {
    return new Negotiated(export.info(), structuredReplies, query.name().equals(contextExport));
  }

  private void describe(int option, ExportQuery query, Negotiated negotiated) {
    ExportInfo info = negotiated.export();
    replies.infoExport(option, info.size(), negotiated.transmissionFlags());
    if (query.wantsName()) {
      replies.infoName(option, info.name());
    }
    if (query.wantsBlockSize()) {
      replies.infoBlockSize(option);
    }
    replies.ack(option);
  }

  private void start(ExportQuery query, NbdExport export) throws NbdExportException {
    NbdSession session = export.open(client);
    Negotiated negotiated = negotiated(query, export);
    describe(OPT_GO, query, negotiated);
    transmit(negotiated, session);
  }

  private void startOldWay(String name, NbdExport export) throws NbdExportException {
    NbdSession session = export.open(client);
    Negotiated negotiated =
        new Negotiated(export.info(), structuredReplies, name.equals(contextExport));
    replies.exportName(export.info().size(), negotiated.transmissionFlags(), zeroes);
    transmit(negotiated, session);
  }

  private void transmit(Negotiated negotiated, NbdSession session) {
    over = true;
    ctx.flush();
    whenNegotiated.run();
    log.info(
        "{}: opened export '{}' ({} bytes{})",
        client,
        negotiated.export().name(),
        negotiated.export().size(),
        negotiated.export().readOnly() ? ", read-only" : "");
    decoderHandedOver = true;
    ByteBuf remainder = decoder.remainder();
    ctx.pipeline().replace(this, null, new TransmissionHandler(client, negotiated, session));
    ctx.pipeline().fireChannelRead(remainder);
    ctx.pipeline().fireChannelReadComplete();
  }

  private void lookUp(int option, String name, WhenFound whenFound) {
    lookingUp = true;
    lookingUpFor = option;
    timer.pause();
    ctx.channel().config().setAutoRead(false);
    exports
        .find(name)
        .whenComplete(
            (export, failure) -> {
              if (ctx.executor().inEventLoop()) {
                lookedUp(export, failure, whenFound);
              } else {
                ctx.executor().execute(() -> lookedUp(export, failure, whenFound));
              }
            });
  }

  private void lookedUp(NbdExport export, Throwable failure, WhenFound whenFound) {
    if (over) {
      return;
    }
    lookingUp = false;
    timer.resume();
    ctx.channel().config().setAutoRead(true);
    Throwable cause = failure instanceof CompletionException ? failure.getCause() : failure;
    try {
      if (cause instanceof NbdExportException refused) {
        refuse(lookingUpFor, replyType(refused), refused.getMessage());
      } else if (cause != null) {
        exceptionCaught(ctx, cause);
      } else {
        whenFound.accept(export);
      }
    } catch (NbdExportException e) {
      refuse(lookingUpFor, replyType(e), e.getMessage());
    } catch (RuntimeException e) {
      exceptionCaught(ctx, e);
    }
    process();
  }

  private static int replyType(NbdExportException refused) {
    return switch (refused.reason()) {
      case UNKNOWN -> REP_ERR_UNKNOWN;
      case POLICY -> REP_ERR_POLICY;
      case SHUTDOWN -> REP_ERR_SHUTDOWN;
    };
  }

  /** Says no; EXPORT_NAME has no way to be told, so there it is the end. */
  private void refuse(int option, int replyType, String why) {
    if (option == OPT_EXPORT_NAME) {
      hangUp("EXPORT_NAME refused: " + why);
      return;
    }
    log.debug("{}: {} answered {}: {}", client, optionName(option), replyName(replyType), why);
    replies.error(option, replyType, why);
  }

  /**
   * Ends the connection after what was written has been sent.
   *
   * @param why for the log; null if the client asked for it
   */
  private void hangUp(String why) {
    if (over) {
      return;
    }
    over = true;
    if (why != null) {
      log.info("{}: closed in the handshake, {}", client, why);
    }
    // A client that doesn't read must not keep the connection: the timer goes on.
    timer.resume();
    ctx.writeAndFlush(Unpooled.EMPTY_BUFFER).addListener(ChannelFutureListener.CLOSE);
  }
}
