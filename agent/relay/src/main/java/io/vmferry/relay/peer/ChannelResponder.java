// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.peer;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.Unpooled;
import io.vmferry.relay.peer.wire.Frame;
import io.vmferry.relay.peer.wire.Refused;
import java.util.concurrent.atomic.AtomicBoolean;

/** Sends the answers to one request over its connection. */
final class ChannelResponder implements PeerService.Responder {
  private final RequestDispatcher connection;
  private final long id;
  private final AtomicBoolean ended = new AtomicBoolean();

  ChannelResponder(RequestDispatcher connection, long id) {
    this.connection = connection;
    this.id = id;
  }

  /**
   * {@inheritDoc}
   *
   * @throws IllegalStateException after the last answer
   * @throws IllegalArgumentException if the answer is larger than a frame of this role may be
   */
  @Override
  public void answer(Frame.Builder answer, ByteBuf payload, boolean last) {
    ByteBuf content = payload == null ? Unpooled.EMPTY_BUFFER : payload;
    Frame header = answer.setId(id).setLast(last).build();
    String problem =
        connection.limits().problem(header.getSerializedSize(), content.readableBytes());
    if (problem != null) {
      content.release();
      throw new IllegalArgumentException("answer " + header.getBodyCase() + ": " + problem);
    }
    if (last ? !ended.compareAndSet(false, true) : ended.get()) {
      content.release();
      throw new IllegalStateException("request " + id + " already has its last answer");
    }
    if (last) {
      connection.answered();
    }
    connection.send(new PeerFrame(header, content));
  }

  @Override
  public boolean fenced() {
    return connection.fenced();
  }

  @Override
  public long queuedBytes() {
    return connection.queuedBytes();
  }

  @Override
  public void whenWritable(Runnable resume) {
    connection.whenWritable(resume);
  }

  /** Ends the request with a refusal, unless it has ended already. */
  void fail(String reason) {
    if (!ended.get()) {
      Refused refused = RequestRules.refused(Refused.Code.FAILED, reason);
      answer(Frame.newBuilder().setRefused(refused), null, true);
    }
  }
}
