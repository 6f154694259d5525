// SPDX-License-Identifier: Apache-2.0
package io.vmferry.nbd;

import io.netty.buffer.ByteBuf;
import io.netty.channel.FileRegion;

/**
 * The one answer to one request, from the moment the request is handed to the session until it is
 * answered. Guards the contract: on the event loop, once.
 */
class OpenReply implements NbdSession.Reply {
  final TransmissionHandler connection;
  private boolean open;
  private int command;
  private boolean fastZero;
  private long cookie;
  private long payloadBytes;

  OpenReply(TransmissionHandler connection) {
    this.connection = connection;
  }

  final void open(Request request) {
    open = true;
    command = request.type;
    fastZero = request.has(NbdProtocol.CMD_FLAG_FAST_ZERO);
    cookie = request.cookie;
    payloadBytes = request.payloadBytes();
  }

  @Override
  public final void success() {
    requireOpen();
    requireComplete();
    open = false;
    connection.succeeded(this);
  }

  @Override
  public final void fail(NbdError error, String why) {
    requireOpen();
    open = false;
    connection.failed(this, allowedHere(error), why);
  }

  final boolean isOpen() {
    return open;
  }

  final long cookie() {
    return cookie;
  }

  final long payloadBytes() {
    return payloadBytes;
  }

  final String commandName() {
    return NbdProtocol.commandName(command);
  }

  /** Throws IllegalStateException if the answer lacks something that success promises. */
  void requireComplete() {}

  /** Writes the successful answer. */
  void writeTo(ReplyWriter replies) {
    replies.success(cookie);
  }

  /** Lets go of what a successful answer would have carried. */
  void discard() {}

  final void requireOpen() {
    connection.requireEventLoop();
    if (!open) {
      throw new IllegalStateException(commandName() + " was already answered");
    }
  }

  /** ENOTSUP and EOVERFLOW would mislead a client where the protocol gives them no meaning. */
  private NbdError allowedHere(NbdError error) {
    boolean misleading = (error == NbdError.ENOTSUP && !fastZero) || error == NbdError.EOVERFLOW;
    return misleading ? NbdError.EIO : error;
  }

  /** The answer to a read: one buffer, header in front, or a header and a range of a file. */
  static final class Read extends OpenReply implements NbdSession.ReadReply {
    private ByteBuf buffer;

    /** The data; null if it is in the buffer. */
    private FileRegion region;

    Read(TransmissionHandler connection) {
      super(connection);
    }

    void open(Request request, ByteBuf dataBuffer) {
      open(request);
      buffer = dataBuffer;
    }

    @Override
    public ByteBuf buffer() {
      requireOpen();
      return buffer;
    }

    @Override
    public int socket() {
      requireOpen();
      return buffer.writableBytes() < NbdLimits.MIN_FILE_REPLY_BYTES ? -1 : connection.socket();
    }

    @Override
    public void success(FileRegion data) {
      requireOpen();
      region = data;
      success();
    }

    @Override
    void requireComplete() {
      long missing = buffer.writableBytes() - (region == null ? 0 : region.count());
      if (missing != 0) {
        throw new IllegalStateException("READ succeeded with %d bytes missing".formatted(missing));
      }
    }

    @Override
    void writeTo(ReplyWriter replies) {
      ByteBuf filled = buffer;
      FileRegion data = region;
      buffer = null;
      region = null;
      if (data == null) {
        replies.data(filled);
      } else {
        replies.data(filled, data);
      }
    }

    @Override
    void discard() {
      buffer.release();
      buffer = null;
      if (region != null) {
        region.release();
        region = null;
      }
    }
  }

  /** The answer to a block status request. */
  static final class Status extends OpenReply implements NbdSession.StatusReply {
    private final ExtentList extents;

    Status(TransmissionHandler connection, ExtentList extents) {
      super(connection);
      this.extents = extents;
    }

    @Override
    public boolean extent(long length, boolean hole, boolean zero) {
      requireOpen();
      return extents.add(length, hole, zero);
    }

    @Override
    void requireComplete() {
      if (extents.isEmpty()) {
        throw new IllegalStateException("BLOCK_STATUS succeeded without an extent");
      }
    }

    @Override
    void writeTo(ReplyWriter replies) {
      replies.blockStatus(cookie(), extents.take());
    }

    @Override
    void discard() {
      extents.take().release();
    }
  }
}
