// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.volume;

import io.netty.buffer.ByteBuf;
import io.vmferry.nbd.NbdError;
import io.vmferry.nbd.NbdSession;

/**
 * One request of a local NBD client. It may be looked at several times before it is carried out (it
 * waits for a block, for a handover), and is answered once. A request whose connection is gone is
 * never carried out: what a dead QEMU asked for must not write later.
 */
final class GuestRequest {

  /** What is asked for. */
  enum Kind {
    READ,
    WRITE,
    ZERO,
    TRIM,
    STATUS,
    FLUSH
  }

  final Kind kind;
  final long offset;
  final long length;

  /** WRITE only. */
  final ByteBuf data;

  /** Answer only when durable. */
  final boolean fua;

  /** ZERO: the range may become a hole. */
  final boolean mayPunch;

  /** ZERO: rather fail with ENOTSUP than wait for the network. */
  final boolean fast;

  /** When it came; {@link OpenRequests} sets it. */
  long begun;

  /** Where it stands in {@link OpenRequests}, which alone uses these. */
  GuestRequest older;

  GuestRequest newer;

  private final VolumeSession session;
  private final NbdSession.Reply reply;

  GuestRequest(
      VolumeSession session,
      Kind kind,
      long offset,
      long length,
      ByteBuf data,
      boolean fua,
      boolean mayPunch,
      boolean fast,
      NbdSession.Reply reply) {
    this.session = session;
    this.kind = kind;
    this.offset = offset;
    this.length = length;
    this.data = data;
    this.fua = fua;
    this.mayPunch = mayPunch;
    this.fast = fast;
    this.reply = reply;
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
    session.ended(this, failed);
    if (data != null) {
      data.release();
    }
  }

  /** For people. */
  @Override
  public String toString() {
    return kind == Kind.FLUSH ? "FLUSH" : kind + " of " + length + " bytes at " + offset;
  }
}
