// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.peer;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.Unpooled;
import io.vmferry.relay.peer.wire.Frame;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.Executor;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.atomic.AtomicInteger;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * One request under way: carries its answers to the caller's executor, one at a time and in order,
 * also if the executor has several threads.
 */
final class PeerCall {
  private static final Logger LOG = LoggerFactory.getLogger(PeerCall.class);

  /** Weight of requests other than Read, whose answers are small. */
  private static final int SMALL_ANSWER_BYTES = 1024;

  private sealed interface Event {}

  private record Answer(Frame header, ByteBuf payload) implements Event {}

  private record End(Exception error) implements Event {}

  private final Frame request;
  private final Executor executor;
  private final PeerLink.Answers answers;
  private final Queue<Event> events = new ConcurrentLinkedQueue<>();
  private final AtomicInteger undelivered = new AtomicInteger();
  private Runnable whenEnded = () -> {};
  private boolean ended;

  PeerCall(Frame request, Executor executor, PeerLink.Answers answers) {
    this.request = request;
    this.executor = executor;
    this.answers = answers;
  }

  Frame request() {
    return request;
  }

  /** Bytes of answer to expect, roughly; for spreading calls over connections. */
  int expectedBytes() {
    return request.hasRead() ? request.getRead().getLength() : SMALL_ANSWER_BYTES;
  }

  /** {@code action} runs on the connection's event loop when the call ends. */
  void whenEnded(Runnable action) {
    whenEnded = action;
  }

  /** Passes an answer on. On the connection's event loop; {@code payload} stays the caller's. */
  void frame(Frame answer, ByteBuf payload) {
    // Not even an empty slice of the receive buffer should be kept for nothing.
    ByteBuf kept = payload.isReadable() ? payload.retain() : Unpooled.EMPTY_BUFFER;
    enqueue(new Answer(answer, kept));
  }

  /** Ends the call; only the first end counts. On the connection's event loop. */
  void end(Exception error) {
    if (!ended) {
      ended = true;
      whenEnded.run();
      enqueue(new End(error));
    }
  }

  private void enqueue(Event event) {
    events.add(event);
    if (undelivered.getAndIncrement() > 0) {
      return;
    }
    try {
      executor.execute(() -> deliver(true));
    } catch (RejectedExecutionException e) {
      LOG.warn("Dropped an answer to {}: its caller has shut down", request.getBodyCase());
      deliver(false);
    }
  }

  private void deliver(boolean wanted) {
    int count = undelivered.get();
    while (count > 0) {
      for (int i = 0; i < count; i++) {
        deliver(events.remove(), wanted);
      }
      count = undelivered.addAndGet(-count);
    }
  }

  private void deliver(Event event, boolean wanted) {
    try {
      if (event instanceof Answer answer) {
        try {
          if (wanted) {
            answers.frame(answer.header(), answer.payload());
          }
        } finally {
          answer.payload().release();
        }
      } else if (wanted) {
        answers.end(((End) event).error());
      }
    } catch (RuntimeException e) {
      LOG.error("The caller of {} failed on an answer", request.getBodyCase(), e);
    }
  }
}
