// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.peer;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.Unpooled;
import io.vmferry.relay.peer.wire.Frame;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.stream.LongStream;
import org.junit.jupiter.api.Test;

class PeerCallTest {
  private static final int FRAMES = 20_000;

  @Test
  void orderHoldsOnAnExecutorWithSeveralThreads() {
    ExecutorService pool = Executors.newFixedThreadPool(4);
    List<Long> order = new CopyOnWriteArrayList<>();
    long[] last = {-1};
    boolean[] ended = {false};
    PeerLink.Answers answers =
        new PeerLink.Answers() {
          @Override
          public void frame(Frame answer, ByteBuf payload) {
            long offset = answer.getExtent().getOffset();
            if (offset != last[0] + 1 || ended[0]) {
              order.add(offset);
            }
            last[0] = offset;
          }

          @Override
          public void end(Exception error) {
            ended[0] = true;
            order.add(last[0]);
          }
        };
    PeerCall call = new PeerCall(TestFrames.read(0, 1), pool, answers);
    LongStream.range(0, FRAMES)
        .mapToObj(i -> TestFrames.extent(i, 1).build())
        .forEach(frame -> call.frame(frame, Unpooled.EMPTY_BUFFER));
    call.end(null);
    await().until(() -> !order.isEmpty());
    pool.shutdown();
    // Only the end has left a mark, and it came after the last frame.
    assertThat(order).containsExactly(FRAMES - 1L);
  }

  @Test
  void onlyTheFirstEndCounts() {
    RecordedAnswers answers = new RecordedAnswers();
    PeerCall call = new PeerCall(TestFrames.locate(), Runnable::run, answers);
    call.end(null);
    call.end(new IllegalStateException("late"));
    assertThat(answers.ends()).containsExactly(RecordedAnswers.GOOD_END);
  }
}
