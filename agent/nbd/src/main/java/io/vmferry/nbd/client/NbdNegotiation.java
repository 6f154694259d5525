// SPDX-License-Identifier: Apache-2.0
package io.vmferry.nbd.client;

import static io.vmferry.nbd.NbdProtocol.BASE_ALLOCATION;
import static io.vmferry.nbd.NbdProtocol.FLAG_C_FIXED_NEWSTYLE;
import static io.vmferry.nbd.NbdProtocol.FLAG_C_NO_ZEROES;
import static io.vmferry.nbd.NbdProtocol.FLAG_FIXED_NEWSTYLE;
import static io.vmferry.nbd.NbdProtocol.FLAG_NO_ZEROES;
import static io.vmferry.nbd.NbdProtocol.IHAVEOPT;
import static io.vmferry.nbd.NbdProtocol.INFO_BLOCK_SIZE;
import static io.vmferry.nbd.NbdProtocol.NBDMAGIC;
import static io.vmferry.nbd.NbdProtocol.OPTION_REPLY_HEADER_BYTES;
import static io.vmferry.nbd.NbdProtocol.OPTION_REPLY_MAGIC;
import static io.vmferry.nbd.NbdProtocol.OPT_GO;
import static io.vmferry.nbd.NbdProtocol.OPT_SET_META_CONTEXT;
import static io.vmferry.nbd.NbdProtocol.OPT_STARTTLS;
import static io.vmferry.nbd.NbdProtocol.OPT_STRUCTURED_REPLY;
import static io.vmferry.nbd.NbdProtocol.REP_ACK;
import static io.vmferry.nbd.NbdProtocol.REP_ERROR_BIT;
import static io.vmferry.nbd.NbdProtocol.REP_ERR_PLATFORM;
import static io.vmferry.nbd.NbdProtocol.REP_ERR_POLICY;
import static io.vmferry.nbd.NbdProtocol.REP_ERR_TLS_REQD;
import static io.vmferry.nbd.NbdProtocol.REP_ERR_UNKNOWN;
import static io.vmferry.nbd.NbdProtocol.REP_ERR_UNSUP;
import static io.vmferry.nbd.NbdProtocol.REP_INFO;
import static io.vmferry.nbd.NbdProtocol.REP_META_CONTEXT;
import static io.vmferry.nbd.NbdProtocol.optionName;
import static io.vmferry.nbd.NbdProtocol.replyName;

import io.netty.buffer.ByteBuf;
import io.netty.channel.ChannelHandlerContext;
import io.netty.handler.codec.ByteToMessageDecoder;
import io.netty.handler.ssl.SslHandler;
import io.netty.handler.ssl.SslHandshakeCompletionEvent;
import io.netty.util.concurrent.Future;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.function.Supplier;

/**
 * The handshake with a server, one option at a time: TLS if it is wanted, structured replies and
 * base:allocation if they are offered, then GO. Gives way to an {@link NbdConnection}, or ends the
 * connection; tells one of both, once.
 *
 * <p>Nothing is ever given up to get on: a server without fixed newstyle or without GO, or one that
 * refuses TLS that was asked for, is refused.
 */
public final class NbdNegotiation extends ByteToMessageDecoder {
  /** Longest handshake, TLS included, in seconds. */
  static final int TIMEOUT_SECONDS = 12;

  private static final int GREETING_BYTES = 18;

  /** Most data of one reply: the longest name or text, and its header. */
  private static final long MAX_REPLY_BYTES = 8192;

  /** Replies to one option; a server may send information that nobody asked for. */
  private static final int MAX_REPLIES = 64;

  /** Told how it ended, on the event loop. */
  public interface Outcome {
    /** The connection is in transmission. */
    void connected(NbdConnection connection);

    /** There is no connection; the message says why. */
    void failed(IOException error);
  }

  private enum Step {
    GREETING,
    STARTTLS,
    TLS_HANDSHAKE,
    STRUCTURED_REPLY,
    META_CONTEXT,
    GO
  }

  private final NbdUri uri;
  private final Supplier<SslHandler> tls;
  private final Outcome outcome;

  private Step step = Step.GREETING;
  private Future<?> timeout;
  private boolean decided;
  private int replies;

  private final OfferedExport export = new OfferedExport();

  /**
   * @param tls makes the handler of the connection, with the server's name checked; null if and
   *     only if the URI wants none
   */
  public NbdNegotiation(NbdUri uri, Supplier<SslHandler> tls, Outcome outcome) {
    if (uri.tls() != (tls != null)) {
      throw new IllegalArgumentException("TLS and the URI's scheme must agree");
    }
    this.uri = uri;
    this.tls = tls;
    this.outcome = outcome;
  }

  @Override
  public void channelActive(ChannelHandlerContext ctx) {
    timeout =
        ctx.executor()
            .schedule(
                () -> fail(ctx, "the handshake wasn't finished in " + TIMEOUT_SECONDS + " seconds"),
                TIMEOUT_SECONDS,
                TimeUnit.SECONDS);
  }

  @Override
  protected void handlerRemoved0(ChannelHandlerContext ctx) {
    if (timeout != null) {
      timeout.cancel(false);
    }
  }

  @Override
  public void channelInactive(ChannelHandlerContext ctx) throws Exception {
    super.channelInactive(ctx);
    fail(ctx, "it closed the connection during the handshake (" + step + ")");
  }

  @Override
  public void exceptionCaught(ChannelHandlerContext ctx, Throwable cause) {
    fail(ctx, step == Step.TLS_HANDSHAKE ? "TLS: " + reason(cause) : reason(cause));
  }

  /** The deepest cause says most: which certificate is wrong rather than that TLS failed. */
  private static String reason(Throwable error) {
    Throwable deepest = error;
    while (deepest.getCause() != null) {
      deepest = deepest.getCause();
    }
    return deepest.getMessage() == null ? deepest.toString() : deepest.getMessage();
  }

  @Override
  public void userEventTriggered(ChannelHandlerContext ctx, Object event) {
    if (event instanceof SslHandshakeCompletionEvent handshake) {
      if (!handshake.isSuccess()) {
        fail(ctx, "TLS: " + reason(handshake.cause()));
      } else if (step == Step.TLS_HANDSHAKE) {
        askForStructuredReplies(ctx);
      }
    }
  }

  @Override
  protected void decode(ChannelHandlerContext ctx, ByteBuf in, List<Object> out)
      throws NbdServerException {
    if (decided) {
      in.skipBytes(in.readableBytes());
    } else if (step == Step.GREETING) {
      if (in.readableBytes() >= GREETING_BYTES) {
        greeting(ctx, in);
      }
    } else if (in.readableBytes() >= OPTION_REPLY_HEADER_BYTES) {
      reply(ctx, in);
    }
  }

  // ---- greeting

  private void greeting(ChannelHandlerContext ctx, ByteBuf in) throws NbdServerException {
    if (in.readLong() != NBDMAGIC) {
      throw new NbdServerException("what answers there is no NBD server");
    }
    if (in.readLong() != IHAVEOPT) {
      throw new NbdServerException("it speaks the old protocol, without options; upgrade it");
    }
    int offered = in.readUnsignedShort();
    if ((offered & FLAG_FIXED_NEWSTYLE) == 0) {
      throw new NbdServerException("it doesn't speak the fixed newstyle protocol; upgrade it");
    }
    boolean noZeroes = (offered & FLAG_NO_ZEROES) != 0;
    ByteBuf answer = ctx.alloc().buffer(Integer.BYTES);
    answer.writeInt(FLAG_C_FIXED_NEWSTYLE | (noZeroes ? FLAG_C_NO_ZEROES : 0));
    var unused = ctx.write(answer);
    if (tls == null) {
      askForStructuredReplies(ctx);
    } else {
      step = Step.STARTTLS;
      send(ctx, OPT_STARTTLS, new byte[0]);
    }
  }

  // ---- options

  private void askForStructuredReplies(ChannelHandlerContext ctx) {
    step = Step.STRUCTURED_REPLY;
    send(ctx, OPT_STRUCTURED_REPLY, new byte[0]);
  }

  private void askForAllocation(ChannelHandlerContext ctx) {
    step = Step.META_CONTEXT;
    byte[] name = name();
    byte[] context = BASE_ALLOCATION.getBytes(StandardCharsets.UTF_8);
    ByteBuf data = ctx.alloc().buffer();
    data.writeInt(name.length).writeBytes(name).writeInt(1);
    data.writeInt(context.length).writeBytes(context);
    send(ctx, OPT_SET_META_CONTEXT, data);
  }

  private void go(ChannelHandlerContext ctx) {
    step = Step.GO;
    byte[] name = name();
    ByteBuf data = ctx.alloc().buffer();
    data.writeInt(name.length).writeBytes(name).writeShort(1).writeShort(INFO_BLOCK_SIZE);
    send(ctx, OPT_GO, data);
  }

  private byte[] name() {
    return uri.export().getBytes(StandardCharsets.UTF_8);
  }

  private void send(ChannelHandlerContext ctx, int option, byte[] data) {
    send(ctx, option, ctx.alloc().buffer().writeBytes(data));
  }

  private void send(ChannelHandlerContext ctx, int option, ByteBuf data) {
    replies = 0;
    ByteBuf header = ctx.alloc().buffer();
    header.writeLong(IHAVEOPT).writeInt(option).writeInt(data.readableBytes());
    var unusedHeader = ctx.write(header);
    var unused = ctx.writeAndFlush(data);
  }

  private int option() {
    return switch (step) {
      case STARTTLS -> OPT_STARTTLS;
      case STRUCTURED_REPLY -> OPT_STRUCTURED_REPLY;
      case META_CONTEXT -> OPT_SET_META_CONTEXT;
      case GO -> OPT_GO;
      case GREETING, TLS_HANDSHAKE -> throw new IllegalStateException(step + " has no option");
    };
  }

  // ---- replies

  private void reply(ChannelHandlerContext ctx, ByteBuf in) throws NbdServerException {
    if (step == Step.TLS_HANDSHAKE) {
      throw new NbdServerException("it sent something in clear after it had agreed to TLS");
    }
    int at = in.readerIndex();
    if (in.getLong(at) != OPTION_REPLY_MAGIC) {
      throw new NbdServerException("a reply to " + optionName(option()) + " has a wrong magic");
    }
    int option = in.getInt(at + 8);
    int type = in.getInt(at + 12);
    long length = in.getUnsignedInt(at + 16);
    if (option != option()) {
      throw new NbdServerException(
          "it answered " + optionName(option) + ", not " + optionName(option()));
    }
    if (length > MAX_REPLY_BYTES) {
      throw new NbdServerException("a reply to %s claims %d bytes".formatted(name(option), length));
    }
    if (in.readableBytes() < OPTION_REPLY_HEADER_BYTES + length) {
      return;
    }
    if (++replies > MAX_REPLIES) {
      throw new NbdServerException("it doesn't come to an end of its replies to " + name(option));
    }
    in.skipBytes(OPTION_REPLY_HEADER_BYTES);
    ByteBuf data = in.readSlice((int) length);
    if ((type & REP_ERROR_BIT) != 0) {
      refused(ctx, type, text(data));
    } else if (type == REP_ACK) {
      if (data.isReadable()) {
        throw new NbdServerException("its ACK of " + name(option) + " has data");
      }
      acknowledged(ctx, in);
    } else if (type == REP_INFO && step == Step.GO) {
      export.information(data);
    } else if (type == REP_META_CONTEXT && step == Step.META_CONTEXT) {
      context(data);
    } else {
      throw new NbdServerException("it answered %s with type %d".formatted(name(option), type));
    }
  }

  private static String name(int option) {
    return optionName(option);
  }

  private void refused(ChannelHandlerContext ctx, int type, String text) throws NbdServerException {
    String said = replyName(type) + (text.isEmpty() ? "" : " (" + text + ")");
    if (type == REP_ERR_TLS_REQD) {
      throw new NbdServerException("it wants TLS: use nbds:// and name its CA with --tls-ca");
    }
    switch (step) {
      case STARTTLS -> throw new NbdServerException("it refuses TLS: " + said);
      case STRUCTURED_REPLY -> {
        requireHarmless(type, said);
        go(ctx);
      }
      case META_CONTEXT -> {
        // Also an unknown export: GO says so in better words.
        export.withoutAllocation();
        go(ctx);
      }
      default ->
          throw new NbdServerException(
              type == REP_ERR_UNKNOWN
                  ? "it has no export '" + uri.export() + "': " + said
                  : "it refuses export '" + uri.export() + "': " + said);
    }
  }

  private static void requireHarmless(int type, String said) throws NbdServerException {
    if (type != REP_ERR_UNSUP && type != REP_ERR_POLICY && type != REP_ERR_PLATFORM) {
      throw new NbdServerException("it refuses STRUCTURED_REPLY: " + said);
    }
  }

  private void acknowledged(ChannelHandlerContext ctx, ByteBuf in) throws NbdServerException {
    switch (step) {
      case STARTTLS -> {
        if (in.isReadable()) {
          throw new NbdServerException("it sent something in clear after it had agreed to TLS");
        }
        step = Step.TLS_HANDSHAKE;
        ctx.pipeline().addFirst(tls.get());
      }
      case STRUCTURED_REPLY -> {
        export.structured();
        askForAllocation(ctx);
      }
      case META_CONTEXT -> go(ctx);
      default -> transmit(ctx);
    }
  }

  private void context(ByteBuf data) throws NbdServerException {
    if (data.readableBytes() < Integer.BYTES) {
      throw new NbdServerException("a context without an id");
    }
    int id = data.readInt();
    export.selected(text(data), id);
  }

  private void transmit(ChannelHandlerContext ctx) throws NbdServerException {
    NbdConnection connection = new NbdConnection(export.checked());
    decided = true;
    ctx.pipeline().replace(this, null, connection);
    outcome.connected(connection);
  }

  private static String text(ByteBuf data) {
    String text = data.readCharSequence(data.readableBytes(), StandardCharsets.UTF_8).toString();
    return text.replaceAll("\\p{Cntrl}", " ");
  }

  private void fail(ChannelHandlerContext ctx, String why) {
    if (!decided) {
      decided = true;
      var unused = ctx.close();
      outcome.failed(new NbdServerException("NBD server " + uri.server() + ": " + why));
    }
  }
}
