// SPDX-License-Identifier: Apache-2.0
package io.vmferry.nbd.client;

import static io.vmferry.nbd.NbdProtocol.CHUNK_HEADER_BYTES;
import static io.vmferry.nbd.NbdProtocol.CMD_BLOCK_STATUS;
import static io.vmferry.nbd.NbdProtocol.CMD_DISC;
import static io.vmferry.nbd.NbdProtocol.CMD_READ;
import static io.vmferry.nbd.NbdProtocol.REPLY_FLAG_DONE;
import static io.vmferry.nbd.NbdProtocol.REPLY_TYPE_BLOCK_STATUS;
import static io.vmferry.nbd.NbdProtocol.REPLY_TYPE_ERROR_BIT;
import static io.vmferry.nbd.NbdProtocol.REPLY_TYPE_ERROR_OFFSET;
import static io.vmferry.nbd.NbdProtocol.REPLY_TYPE_NONE;
import static io.vmferry.nbd.NbdProtocol.REPLY_TYPE_OFFSET_DATA;
import static io.vmferry.nbd.NbdProtocol.REPLY_TYPE_OFFSET_HOLE;
import static io.vmferry.nbd.NbdProtocol.REQUEST_HEADER_BYTES;
import static io.vmferry.nbd.NbdProtocol.REQUEST_MAGIC;
import static io.vmferry.nbd.NbdProtocol.SIMPLE_REPLY_BYTES;
import static io.vmferry.nbd.NbdProtocol.SIMPLE_REPLY_MAGIC;
import static io.vmferry.nbd.NbdProtocol.STATE_HOLE;
import static io.vmferry.nbd.NbdProtocol.STATE_ZERO;
import static io.vmferry.nbd.NbdProtocol.STRUCTURED_REPLY_MAGIC;
import static io.vmferry.nbd.NbdProtocol.commandName;

import io.netty.buffer.ByteBuf;
import io.netty.channel.ChannelFutureListener;
import io.netty.channel.ChannelHandlerContext;
import io.netty.handler.codec.ByteToMessageDecoder;
import io.netty.handler.codec.DecoderException;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
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

  private static final int EXTENT_BYTES = 8;
  private static final int MAX_TEXT = 4096;

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
  private final Map<Long, Request> requests = new HashMap<>();
  private Consumer<String> whenClosed = why -> {};
  private ChannelHandlerContext ctx;
  private long lastCookie;
  private String endReason;

  /** The read whose data is being received; null between headers. */
  private Read receiving;

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
    send(CMD_READ, new Read(offset, length, answer));
  }

  /** Asks for the extents of a range; only if the server offers base:allocation. */
  public void extents(long offset, long length, ExtentsAnswer answer) {
    if (export.allocation() == null) {
      throw new IllegalStateException("the server doesn't offer base:allocation");
    }
    send(CMD_BLOCK_STATUS, new Status(offset, length, answer));
  }

  /** Says goodbye; what is under way fails. */
  public void close() {
    if (endReason == null) {
      var unused =
          ctx.writeAndFlush(header(CMD_DISC, 0, 0, 0)).addListener(ChannelFutureListener.CLOSE);
      end("closed on this side");
    }
  }

  private void send(int command, Request request) {
    boolean inRange =
        request.offset >= 0
            && request.length > 0
            && request.offset <= export.size() - request.length
            && request.offset % export.minBlock() == 0
            && request.length % export.minBlock() == 0;
    if (!inRange) {
      throw new IllegalArgumentException(
          "a request of %d bytes at %d of %s".formatted(request.length, request.offset, export));
    }
    if (endReason != null) {
      request.answer.failed(new NbdServerException(endReason));
      return;
    }
    long cookie = ++lastCookie;
    requests.put(cookie, request);
    var unused = ctx.writeAndFlush(header(command, cookie, request.offset, request.length));
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
    List<Request> unanswered = new ArrayList<>(requests.values());
    requests.clear();
    for (Request request : unanswered) {
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
    Request request = find(cookie);
    if (request instanceof Read && export.structured()) {
      throw new NbdServerException("the server answered a read with a simple reply");
    }
    if (error != 0) {
      requests.remove(cookie);
      request.fail(refusal(request, error, ""));
    } else if (request instanceof Read read) {
      begin(read, cookie, 0, (int) read.length, true);
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
    Request request = find(cookie);
    boolean last = (flags & REPLY_FLAG_DONE) != 0;
    if (type == REPLY_TYPE_OFFSET_DATA && request instanceof Read read) {
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
      error(request, type, body);
    } else if (type == REPLY_TYPE_OFFSET_HOLE && request instanceof Read read) {
      hole(read, body);
    } else if (type == REPLY_TYPE_BLOCK_STATUS && request instanceof Status status) {
      extents(status, body);
    } else if (type != REPLY_TYPE_NONE || length != 0 || !last) {
      throw new NbdServerException(
          "a chunk of type %d as answer to %s".formatted(type, request.name()));
    }
    if (last) {
      finish(cookie, request);
    }
  }

  private Request find(long cookie) throws NbdServerException {
    Request request = requests.get(cookie);
    if (request == null) {
      throw new NbdServerException("the server answered a request that is not under way");
    }
    return request;
  }

  private void data(ByteBuf in, Read read, long cookie, long length, boolean last)
      throws NbdServerException {
    if (length <= Long.BYTES || length - Long.BYTES > read.length) {
      throw new NbdServerException("a data chunk of %d bytes".formatted(length));
    }
    if (in.readableBytes() < CHUNK_HEADER_BYTES + Long.BYTES) {
      return;
    }
    in.skipBytes(CHUNK_HEADER_BYTES);
    int bytes = (int) (length - Long.BYTES);
    begin(read, cookie, read.at(in.readLong(), bytes), bytes, last);
  }

  private void begin(Read read, long cookie, int at, int bytes, boolean last)
      throws NbdServerException {
    read.cover(at, bytes);
    read.received += bytes;
    receiving = read;
    receiving.cookie = cookie;
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
      Read complete = receiving;
      receiving = null;
      if (receiveLast) {
        finish(complete.cookie, complete);
      }
    }
  }

  private void hole(Read read, ByteBuf body) throws NbdServerException {
    if (body.readableBytes() != Long.BYTES + Integer.BYTES) {
      throw new NbdServerException("a hole of %d bytes".formatted(body.readableBytes()));
    }
    long offset = body.readLong();
    long length = body.readUnsignedInt();
    if (length == 0 || length > read.length) {
      throw new NbdServerException("a hole of length " + length);
    }
    int at = read.at(offset, (int) length);
    read.cover(at, (int) length);
    read.buffer().setZero(at, (int) length);
  }

  private void extents(Status status, ByteBuf body) throws NbdServerException {
    int length = body.readableBytes();
    if (length <= Integer.BYTES || (length - Integer.BYTES) % EXTENT_BYTES != 0) {
      throw new NbdServerException("a list of extents of %d bytes".formatted(length));
    }
    if (body.readInt() != export.allocation() || !status.extents.isEmpty()) {
      throw new NbdServerException("extents of another context, or twice");
    }
    long covered = 0;
    while (body.isReadable()) {
      long bytes = body.readUnsignedInt();
      int state = body.readInt();
      if (bytes == 0 || covered >= status.length) {
        throw new NbdServerException("an empty extent, or one behind the range");
      }
      covered += bytes;
      if (covered > export.size() - status.offset) {
        throw new NbdServerException("an extent that ends behind the export");
      }
      status.extents.add(new Extent(bytes, (state & STATE_HOLE) != 0, (state & STATE_ZERO) != 0));
    }
  }

  private void error(Request request, int type, ByteBuf body) throws NbdServerException {
    if (body.readableBytes() < Integer.BYTES + Short.BYTES) {
      throw new NbdServerException("an error of %d bytes".formatted(body.readableBytes()));
    }
    int code = body.readInt();
    int textLength = body.readUnsignedShort();
    int behind = type == REPLY_TYPE_ERROR_OFFSET ? Long.BYTES : 0;
    if (code == 0 || textLength > MAX_TEXT || body.readableBytes() < textLength + behind) {
      throw new NbdServerException("an error that is none, or whose text doesn't fit");
    }
    String text = body.readCharSequence(textLength, StandardCharsets.UTF_8).toString();
    if (type == REPLY_TYPE_ERROR_OFFSET && request instanceof Read read) {
      read.at(body.readLong(), 1);
    }
    if (request.error == null) {
      request.error = refusal(request, code, text.replaceAll("\\p{Cntrl}", " "));
    }
  }

  private void finish(long cookie, Request request) throws NbdServerException {
    if (request.error != null) {
      requests.remove(cookie);
      request.fail(request.error);
    } else if (!request.isWhole()) {
      throw new NbdServerException("the server left out a part of its answer to " + request.name());
    } else {
      requests.remove(cookie);
      request.succeed();
    }
  }

  private static IOException refusal(Request request, int error, String text) {
    return new NbdServerException(
        "the server failed to %s %d bytes at %d: %s%s"
            .formatted(
                request.verb(),
                request.length,
                request.offset,
                Errno.name(error),
                text.isEmpty() ? "" : " (" + text + ")"));
  }

  // ---- requests

  /** A request under way. */
  private abstract static class Request {
    final long offset;
    final long length;
    final Answer answer;
    IOException error;

    Request(long offset, long length, Answer answer) {
      this.offset = offset;
      this.length = length;
      this.answer = answer;
    }

    abstract boolean isWhole();

    abstract void succeed();

    abstract String name();

    abstract String verb();

    void release() {}

    final void fail(IOException why) {
      release();
      answer.failed(why);
    }
  }

  /** A read; its buffer is taken when the first of its bytes is here. */
  private final class Read extends Request {
    private final ReadAnswer readAnswer;
    private final Coverage coverage = new Coverage();
    private long cookie;
    private int received;
    private ByteBuf buffer;

    Read(long offset, int length, ReadAnswer answer) {
      super(offset, length, answer);
      readAnswer = answer;
    }

    /** Where in the buffer a part of the range is. */
    int at(long partOffset, int partLength) throws NbdServerException {
      long at = partOffset - offset;
      if (partOffset < offset || at > length - partLength) {
        throw new NbdServerException("a chunk outside of what was asked for");
      }
      return (int) at;
    }

    void cover(int at, int bytes) throws NbdServerException {
      String problem = coverage.add(at, at + bytes);
      if (problem != null) {
        throw new NbdServerException("the server sent " + problem);
      }
    }

    ByteBuf buffer() {
      if (buffer == null) {
        buffer = ctx.alloc().directBuffer((int) length, (int) length);
        buffer.writerIndex((int) length);
      }
      return buffer;
    }

    @Override
    boolean isWhole() {
      return coverage.isWhole((int) length);
    }

    @Override
    void succeed() {
      ByteBuf whole = buffer;
      buffer = null;
      readAnswer.data(whole, received);
    }

    @Override
    String name() {
      return commandName(CMD_READ);
    }

    @Override
    String verb() {
      return "read";
    }

    @Override
    void release() {
      if (buffer != null) {
        buffer.release();
        buffer = null;
      }
    }
  }

  /** A question for extents. */
  private static final class Status extends Request {
    private final ExtentsAnswer extentsAnswer;
    private final List<Extent> extents = new ArrayList<>();

    Status(long offset, long length, ExtentsAnswer answer) {
      super(offset, length, answer);
      extentsAnswer = answer;
    }

    @Override
    boolean isWhole() {
      return !extents.isEmpty();
    }

    @Override
    void succeed() {
      extentsAnswer.extents(extents);
    }

    @Override
    String name() {
      return commandName(CMD_BLOCK_STATUS);
    }

    @Override
    String verb() {
      return "tell the extents of";
    }
  }
}
