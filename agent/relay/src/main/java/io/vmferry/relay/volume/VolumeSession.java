// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.volume;

import io.netty.buffer.ByteBuf;
import io.vmferry.nbd.NbdSession;
import io.vmferry.relay.volume.GuestRequest.Kind;

/** One NBD connection to one volume. */
final class VolumeSession implements NbdSession {
  private final Volume volume;
  private final LocalClients.Client client;
  private boolean closed;

  /** To be used for the next request; null if the last one waits for something. */
  private GuestRequest idle;

  VolumeSession(Volume volume, LocalClients.Client client) {
    this.volume = volume;
    this.client = client;
  }

  boolean isClosed() {
    return closed;
  }

  /** A request was answered, or dropped because the connection is gone. */
  void ended(GuestRequest request, boolean failed) {
    volume.openRequests().end(request);
    if (!closed) {
      volume.requestStats().answered(request, failed);
    }
  }

  @Override
  public void read(long offset, int length, ReadReply reply) {
    submit(Kind.READ, offset, length, null, false, reply);
  }

  @Override
  public void write(long offset, ByteBuf data, boolean fua, Reply reply) {
    submit(Kind.WRITE, offset, data.readableBytes(), data, fua, reply);
  }

  @Override
  public void writeZeroes(
      long offset, long length, boolean mayPunch, boolean fast, boolean fua, Reply reply) {
    begin(take().open(Kind.ZERO, offset, length, null, fua, reply).zeroing(mayPunch, fast));
  }

  @Override
  public void trim(long offset, long length, boolean fua, Reply reply) {
    submit(Kind.TRIM, offset, length, null, fua, reply);
  }

  @Override
  public void flush(Reply reply) {
    submit(Kind.FLUSH, 0, 0, null, false, reply);
  }

  @Override
  public void cache(long offset, long length, Reply reply) {
    // A hint. Fetching a whole range at demand priority would only delay real misses.
    reply.success();
  }

  @Override
  public void blockStatus(long offset, long length, StatusReply reply) {
    submit(Kind.STATUS, offset, length, null, false, reply);
  }

  @Override
  public void closed(boolean orderly) {
    closed = true;
    volume.closed(client, orderly);
  }

  private void submit(Kind kind, long offset, long length, ByteBuf data, boolean fua, Reply reply) {
    begin(take().open(kind, offset, length, data, fua, reply));
  }

  private GuestRequest take() {
    GuestRequest request = idle == null ? new GuestRequest(this) : idle;
    idle = null;
    return request;
  }

  private void begin(GuestRequest request) {
    volume.begin(request);
    // One that ended before this was never kept by anybody, so nobody can mistake the next for it.
    if (request.hasEnded()) {
      idle = request;
    }
  }
}
