// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.peer;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.ByteBufUtil;
import io.vmferry.relay.peer.wire.Frame;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;

/** Keeps what a call was answered, in order: frames, payloads, ends. */
final class RecordedAnswers implements PeerLink.Answers {
  /** Stands for an end without error, since lists hold no null here. */
  static final String GOOD_END = "end";

  private final List<Frame> frames = new CopyOnWriteArrayList<>();
  private final List<byte[]> payloads = new CopyOnWriteArrayList<>();
  private final List<Object> ends = new CopyOnWriteArrayList<>();
  private final List<String> order = new CopyOnWriteArrayList<>();

  @Override
  public void frame(Frame answer, ByteBuf payload) {
    frames.add(answer);
    payloads.add(ByteBufUtil.getBytes(payload));
    order.add(answer.getBodyCase().name());
  }

  @Override
  public void end(Exception error) {
    order.add(GOOD_END);
    ends.add(error == null ? GOOD_END : error);
  }

  List<Frame> frames() {
    return frames;
  }

  List<byte[]> payloads() {
    return payloads;
  }

  /** Each end: {@link #GOOD_END} or the exception. */
  List<Object> ends() {
    return ends;
  }

  /** Bodies of the frames, and the ends, as they came. */
  List<String> order() {
    return order;
  }
}
