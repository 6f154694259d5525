// SPDX-License-Identifier: Apache-2.0
package io.vmferry.nbd;

import io.netty.buffer.ByteBuf;
import io.netty.channel.FileRegion;

/**
 * One connection in the transmission phase; the executing side of every request.
 *
 * <p>All methods are called on the connection's event loop and never block it. Requests are already
 * validated (range, length, flags, read-only), so nothing here checks them again. Each reply is
 * completed exactly once, in any order, inside the call or at any later time, on the same event
 * loop. A method that throws is answered with EIO; it must not have kept the reply.
 */
public interface NbdSession {

  /**
   * NBD_CMD_READ. Fill exactly {@code length} bytes of {@link ReadReply#buffer()}, then succeed; or
   * succeed with a range of a file, where {@link ReadReply#socket()} allows it.
   */
  void read(long offset, int length, ReadReply reply);

  /**
   * NBD_CMD_WRITE. {@code data} holds exactly the payload; the callee owns it and releases it, also
   * when it fails.
   */
  void write(long offset, ByteBuf data, boolean fua, Reply reply);

  /**
   * NBD_CMD_WRITE_ZEROES.
   *
   * @param mayPunch false when the client said NO_HOLE: the range stays allocated
   * @param fast fail with {@link NbdError#ENOTSUP} instead of being slow
   */
  void writeZeroes(
      long offset, long length, boolean mayPunch, boolean fast, boolean fua, Reply reply);

  /** NBD_CMD_TRIM: the content of the range becomes undefined; here it becomes zero or stays. */
  void trim(long offset, long length, boolean fua, Reply reply);

  /** NBD_CMD_FLUSH: succeeds when every write replied to before (on any connection) is durable. */
  void flush(Reply reply);

  /** NBD_CMD_CACHE: a hint; never changes content. */
  void cache(long offset, long length, Reply reply);

  /** NBD_CMD_BLOCK_STATUS in the context base:allocation. */
  void blockStatus(long offset, long length, StatusReply reply);

  /**
   * The connection is over; nothing is called after this. Requests handed over before are still
   * executed, and their replies completed: that gives their buffers back, and goes nowhere.
   *
   * @param orderly true if the client said NBD_CMD_DISC; a lost socket alone proves nothing
   */
  void closed(boolean orderly);

  /**
   * The answer to one request. Exactly one of the methods is called, exactly once, and the object
   * isn't used after it: it may already answer another request.
   *
   * <p>A second completion, or one on another thread, throws {@link IllegalStateException}; so does
   * a success that lacks data or extents, which leaves the reply open.
   */
  interface Reply {
    /** The request is carried out; with FUA, durably. */
    void success();

    /**
     * The request was not, or not completely, carried out.
     *
     * @param error {@link NbdError#ENOTSUP} only for a fast WRITE_ZEROES; elsewhere it becomes EIO,
     *     and so does {@link NbdError#EOVERFLOW}, because clients would take them for something
     *     else
     * @param why for the client's user and the log: the thing, the reason, the next step
     */
    void fail(NbdError error, String why);
  }

  /** The answer to a read. */
  interface ReadReply extends Reply {
    /**
     * Where the data goes: writable bytes behind the reply header, in one pooled direct buffer, so
     * a read from the page cache is copied once. Owned by the connection; don't release it.
     */
    ByteBuf buffer();

    /**
     * Descriptor of the client's socket, if data may be sent there straight from a file now; -1 if
     * it has to be in the buffer: the read is small, the client hasn't taken what came before, or
     * there is no such socket.
     */
    default int socket() {
      return -1;
    }

    /**
     * Success with data that goes to {@link #socket} by itself, which must have been asked for just
     * before. Nothing was written to the buffer.
     *
     * @param data exactly {@code length} bytes; sent inside the call as far as the socket has room,
     *     and released
     */
    default void success(FileRegion data) {
      throw new IllegalStateException("there is no socket to send to");
    }
  }

  /** The answer to a block status request. */
  interface StatusReply extends Reply {
    /**
     * Adds the next extent, in order, without gaps, from the request's offset on. Extents past the
     * request or past what fits a reply are cut or ignored.
     *
     * @return false when more extents would be ignored
     */
    boolean extent(long length, boolean hole, boolean zero);
  }
}
