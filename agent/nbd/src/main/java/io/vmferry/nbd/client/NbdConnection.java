// SPDX-License-Identifier: Apache-2.0
package io.vmferry.nbd.client;

import static io.vmferry.nbd.NbdProtocol.CHUNK_HEADER_BYTES;
import static io.vmferry.nbd.NbdProtocol.CMD_DISC;
import static io.vmferry.nbd.NbdProtocol.REPLY_FLAG_DONE;
import static io.vmferry.nbd.NbdProtocol.REPLY_TYPE_BLOCK_STATUS;
import static io.vmferry.nbd.NbdProtocol.REPLY_TYPE_ERROR_BIT;
import static io.vmferry.nbd.NbdProtocol.REPLY_TYPE_NONE;
import static io.vmferry.nbd.NbdProtocol.REPLY_TYPE_OFFSET_DATA;
import static io.vmferry.nbd.NbdProtocol.REPLY_TYPE_OFFSET_HOLE;
import static io.vmferry.nbd.NbdProtocol.REQUEST_HEADER_BYTES;
import static io.vmferry.nbd.NbdProtocol.REQUEST_MAGIC;
import static io.vmferry.nbd.NbdProtocol.SIMPLE_REPLY_BYTES;
import static io.vmferry.nbd.NbdProtocol.SIMPLE_REPLY_MAGIC;
import static io.vmferry.nbd.NbdProtocol.STRUCTURED_REPLY_MAGIC;

import io.netty.buffer.ByteBuf;
import io.netty.channel.ChannelFutureListener;
import io.netty.channel.ChannelHandlerContext;
import io.netty.handler.codec.ByteToMessageDecoder;
import io.netty.handler.codec.DecoderException;
import java.io.IOException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * A connection to a server in transmission: reads, and asks for extents. Answers come in any order.
 *
 * <p>A read succeeds only if every byte of it was answered, once. If the server reports an error
 * for any part, or leaves a part out, the whole read fails. What breaks the protocol ends the
 * connection and fails all that is under way. All on the connection's event loop.
 */
public final class NbdConnection extends ByteToMessageDecoder {
  private static final Logger log = LoggerFactory.getLogger(NbdConnection.class);

  /** Most bytes of a chunk that isn't data: extents of one answer, or an error's text. */
  private static final int MAX_SMALL_CHUNK = 4 + 8 * (1 << 20);

  /** How a request ends: with exactly one of its methods. */
  public interface Answer {
    /** There is no answer, or one that can't be used; the message says why. */
    void failed(IOException error);
  }

  /** The answer to a read. */
  public interface ReadAnswer extends Answer {
    /**
     * All of it.
     *
     * @param data exactly the range that was asked for; the callee releases it
     * @param onWire how much of it travelled; the rest are holes
     */
    void data(ByteBuf data, int onWire);
  }

  /** A part of an export with one state in base:allocation. */
  public record Extent(long length, boolean hole, boolean zero) {}

  /** The answer to a question for extents. */
  public interface ExtentsAnswer extends Answer {
    /** At least one extent, from the offset on; they may end before the range does, or after. */
    void extents(List<Extent> extents);
  }

  private final ServerExport export;
  private final Map<Long, PendingRequest> requests = new HashMap<>();
  private Consumer<String> whenClosed = why -> {};
  private ChannelHandlerContext ctx;
  private long lastCookie;
  private String endReason;

  /** The read whose data is being received; null between headers. */
  private PendingRead receiving;

  private long receiveCookie;
  private int receiveAt;
  private int receiveLeft;
  private boolean receiveLast;

  NbdConnection(ServerExport export) {
    this.export = export;
  }

  /** What the server said of the export. */
  public ServerExport export() {
    return export;
  }

  /** {@code listener} is told once why the connection ended, before its requests are failed. */
  public void whenClosed(Consumer<String> listener) {
    whenClosed = listener;
  }

  /**
   * Reads.
   *
   * @param offset a multiple of the smallest block
   * @param length likewise; at most the largest payload
   */
  public void read(long offset, int length, ReadAnswer answer) {
    send(new PendingRead(offset, length, ctx.alloc(), answer));
  }

  /** Asks for the extents of a range; only if the server offers base:allocation. */
  public void extents(long offset, long length, ExtentsAnswer answer) {
    if (export.allocation() == null) {
      throw new IllegalStateException("the server doesn't offer base:allocation");
    }
    send(new PendingExtents(offset, length, export, answer));
  }

  /** Says goodbye; what is under way fails. */
  public void close() {
    if (endReason == null) {
      var unused =
          ctx.writeAndFlush(header(CMD_DISC, 0, 0, 0)).addListener(ChannelFutureListener.CLOSE);
      end("closed on this side");
    }
  }

  private void send(PendingRequest request) {
    long offset = request.offset();
    long length = request.length();
    boolean inRange =
        offset >= 0
            && length > 0
            && offset <= export.size() - length
            && offset % export.minBlock() == 0
            && length % export.minBlock() == 0;
    if (!inRange) {
      throw new IllegalArgumentException(
          "a request of %d bytes at %d of %s".formatted(length, offset, export));
    }
    if (endReason != null) {
      request.fail(new NbdServerException(endReason));
      return;
    }
    long cookie = ++lastCookie;
    requests.put(cookie, request);
    var unused = ctx.writeAndFlush(header(request.command(), cookie, offset, length));
  }

  private ByteBuf header(int command, long cookie, long offset, long length) {
    ByteBuf out = ctx.alloc().directBuffer(REQUEST_HEADER_BYTES);
    out.writeInt(REQUEST_MAGIC).writeShort(0).writeShort(command);
    return out.writeLong(cookie).writeLong(offset).writeInt((int) length);
  }

  // ---- the connection

  @Override
  public void handlerAdded(ChannelHandlerContext context) {
    ctx = context;
  }

  @Override
  public void channelInactive(ChannelHandlerContext context) throws Exception {
    super.channelInactive(context);
    end("the server closed the connection");
  }

  @Override
  public void exceptionCaught(ChannelHandlerContext context, Throwable cause) {
    Throwable reason =
        cause instanceof DecoderException && cause.getCause() != null ? cause.getCause() : cause;
    if (!(reason instanceof IOException)) {
      log.error("Bug in the connection to an NBD server", reason);
    }
    end(reason.getMessage() == null ? reason.toString() : reason.getMessage());
    var unused = ctx.close();
  }

  private void end(String why) {
    if (endReason != null) {
      return;
    }
    endReason = why;
    receiving = null;
    whenClosed.accept(why);
    List<PendingRequest> unanswered = new ArrayList<>(requests.values());
    requests.clear();
    for (PendingRequest request : unanswered) {
      request.fail(new NbdServerException(why));
    }
  }

  // ---- replies

  @Override
  protected void decode(ChannelHandlerContext context, ByteBuf in, List<Object> out)
      throws NbdServerException {
    if (endReason != null) {
      in.skipBytes(in.readableBytes());
    } else if (receiving != null) {
      receive(in);
    } else if (in.readableBytes() >= SIMPLE_REPLY_BYTES) {
      int magic = in.getInt(in.readerIndex());
      if (magic == SIMPLE_REPLY_MAGIC) {
        in.skipBytes(Integer.BYTES);
        simple(in.readInt(), in.readLong());
      } else if (magic != STRUCTURED_REPLY_MAGIC || !export.structured()) {
        throw new NbdServerException("a reply of the server has a wrong magic");
      } else if (in.readableBytes() >= CHUNK_HEADER_BYTES) {
        chunk(in);
      }
    }
  }

  private void simple(int error, long cookie) throws NbdServerException {
    PendingRequest request = find(cookie);
    if (request instanceof PendingRead && export.structured()) {
      throw new NbdServerException("the server answered a read with a simple reply");
    }
    if (error != 0) {
      requests.remove(cookie);
      request.fail(request.refusal(error, ""));
    } else if (request instanceof PendingRead read) {
      begin(read, cookie, 0, (int) read.length(), true);
    } else {
      throw new NbdServerException("the server answered a question for extents with none");
    }
  }

  private void chunk(ByteBuf in) throws NbdServerException {
    int at = in.readerIndex();
    int flags = in.getUnsignedShort(at + 4);
    int type = in.getUnsignedShort(at + 6);
    long cookie = in.getLong(at + 8);
    long length = in.getUnsignedInt(at + 16);
    if ((flags & ~REPLY_FLAG_DONE) != 0) {
      throw new NbdServerException("a chunk has unknown flags 0x" + Integer.toHexString(flags));
    }
    PendingRequest request = find(cookie);
    boolean last = (flags & REPLY_FLAG_DONE) != 0;
    if (type == REPLY_TYPE_OFFSET_DATA && request instanceof PendingRead read) {
      data(in, read, cookie, length, last);
      return;
    }
    if (length > MAX_SMALL_CHUNK) {
      throw new NbdServerException("a chunk of type %d claims %d bytes".formatted(type, length));
    }
    if (in.readableBytes() < CHUNK_HEADER_BYTES + length) {
      return;
    }
    in.skipBytes(CHUNK_HEADER_BYTES);
    ByteBuf body = in.readSlice((int) length);
    if ((type & REPLY_TYPE_ERROR_BIT) != 0) {
      request.addError(type, body);
    } else if (type == REPLY_TYPE_OFFSET_HOLE && request instanceof PendingRead read) {
      read.addHole(body);
    } else if (type == REPLY_TYPE_BLOCK_STATUS && request instanceof PendingExtents extents) {
      extents.addExtents(body);
    } else if (type != REPLY_TYPE_NONE || length != 0 || !last) {
      throw new NbdServerException(
          "a chunk of type %d as answer to %s".formatted(type, request.name()));
    }
    if (last) {
      finish(cookie, request);
    }
  }

  private PendingRequest find(long cookie) throws NbdServerException {
    PendingRequest request = requests.get(cookie);
    if (request == null) {
      throw new NbdServerException("the server answered a request that is not under way");
    }
    return request;
  }

  private void data(ByteBuf in, PendingRead read, long cookie, long length, boolean last)
      throws NbdServerException {
    if (length <= Long.BYTES || length - Long.BYTES > read.length()) {
      throw new NbdServerException("a data chunk of %d bytes".formatted(length));
    }
    if (in.readableBytes() < CHUNK_HEADER_BYTES + Long.BYTES) {
      return;
    }
    in.skipBytes(CHUNK_HEADER_BYTES);
    int bytes = (int) (length - Long.BYTES);
    begin(read, cookie, read.at(in.readLong(), bytes), bytes, last);
  }

  private void begin(PendingRead read, long cookie, int at, int bytes, boolean last)
      throws NbdServerException {
    read.beginData(at, bytes);
    receiving = read;
    receiveCookie = cookie;
    receiveAt = at;
    receiveLeft = bytes;
    receiveLast = last;
  }

  private void receive(ByteBuf in) throws NbdServerException {
    int now = Math.min(receiveLeft, in.readableBytes());
    in.readBytes(receiving.buffer(), receiveAt, now);
    receiveAt += now;
    receiveLeft -= now;
    if (receiveLeft == 0) {
      PendingRead complete = receiving;
      receiving = null;
      if (receiveLast) {
        finish(receiveCookie, complete);
      }
    }
  }

  private void finish(long cookie, PendingRequest request) throws NbdServerException {
    if (request.error() != null) {
      requests.remove(cookie);
      request.fail(request.error());
    } else if (!request.isWhole()) {
      throw new NbdServerException("the server left out a part of its answer to " + request.name());
    } else {
      requests.remove(cookie);
      request.succeed();
    }
  }
}
