// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.volume;

import io.netty.buffer.ByteBuf;
import io.netty.channel.FileRegion;
import io.vmferry.nbd.NbdError;
import io.vmferry.nbd.NbdSession;
import io.vmferry.relay.store.BlockFile;
import java.io.IOException;

/**
 * One request of a local NBD client. It may be looked at several times before it is carried out (it
 * waits for a block, for a handover), and is answered once. A request whose connection is gone is
 * never carried out: what a dead QEMU asked for must not write later.
 *
 * <p>It is told the outcome of its own operation on the file, so that one which the page cache
 * answers allocates nothing.
 */
final class GuestRequest implements BlockFile.Done {

  /** What is asked for. */
  enum Kind {
    READ,
    WRITE,
    ZERO,
    TRIM,
    STATUS,
    FLUSH
  }

  /** What to do, and with what; set by {@link #open}. */
  Kind kind;

  long offset;
  long length;

  /** WRITE only. */
  ByteBuf data;

  /** Answer only when durable. */
  boolean fua;

  /** ZERO: the range may become a hole. */
  boolean mayPunch;

  /** ZERO: rather fail with ENOTSUP than wait for the network. */
  boolean fast;

  /** Its place among the writes in flight while {@link LocalIo} carries it out. */
  final InFlight.Ticket ticket = new InFlight.Ticket();

  /** When it came; {@link OpenRequests} sets it. */
  long begun;

  /** Where it stands in {@link OpenRequests}, which alone uses these. */
  GuestRequest older;

  GuestRequest newer;

  private final VolumeSession session;
  private NbdSession.Reply reply;
  private LocalIo carrier;
  private boolean ended = true;

  /** For requests of one connection, one at a time. */
  GuestRequest(VolumeSession session) {
    this.session = session;
  }

  /** A new request begins; the one before, if any, must have ended. */
  GuestRequest open(
      Kind newKind,
      long newOffset,
      long newLength,
      ByteBuf newData,
      boolean newFua,
      NbdSession.Reply newReply) {
    if (!ended) {
      throw new IllegalStateException(this + " is not answered yet");
    }
    ended = false;
    kind = newKind;
    offset = newOffset;
    length = newLength;
    data = newData;
    fua = newFua;
    mayPunch = true;
    fast = false;
    reply = newReply;
    return this;
  }

  /** ZERO: how. */
  GuestRequest zeroing(boolean punchAllowed, boolean onlyFast) {
    mayPunch = punchAllowed;
    fast = onlyFast;
    return this;
  }

  /** Whether it was answered or dropped. */
  boolean hasEnded() {
    return ended;
  }

  /** The operation on the file that is about to begin is told to {@code io}. */
  GuestRequest carriedOutBy(LocalIo io) {
    carrier = io;
    return this;
  }

  @Override
  public void done(IOException error) {
    carrier.done(this, error);
  }

  long end() {
    return offset + length;
  }

  /** Whether it changes content, and so is what phase 5 begins with. */
  boolean changesContent() {
    return kind == Kind.WRITE || kind == Kind.ZERO || kind == Kind.TRIM;
  }

  boolean alive() {
    return !session.isClosed();
  }

  NbdSession.ReadReply readReply() {
    return (NbdSession.ReadReply) reply;
  }

  NbdSession.StatusReply statusReply() {
    return (NbdSession.StatusReply) reply;
  }

  void succeed() {
    if (alive()) {
      ended(false);
      reply.success();
    } else {
      drop();
    }
  }

  /** A read whose data is in the page cache; the connection releases it, also if it is gone. */
  void succeed(FileRegion data) {
    ended(false);
    readReply().success(data);
  }

  void fail(NbdError error, String why) {
    ended(true);
    reply.fail(error, why);
  }

  /**
   * Ends the request of a connection that is gone; the reply frees its buffers and goes nowhere.
   */
  void drop() {
    fail(NbdError.EIO, "the connection is gone");
  }

  private void ended(boolean failed) {
    ended = true;
    session.ended(this, failed);
    if (data != null) {
      data.release();
      data = null;
    }
  }

  /** For people. */
  @Override
  public String toString() {
    return kind == Kind.FLUSH ? "FLUSH" : kind + " of " + length + " bytes at " + offset;
  }
}
