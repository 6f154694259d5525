// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.peer;

import static org.assertj.core.api.Assertions.assertThat;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.Unpooled;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelOutboundHandlerAdapter;
import io.netty.channel.ChannelPromise;
import io.netty.channel.embedded.EmbeddedChannel;
import io.vmferry.relay.peer.wire.Frame;
import io.vmferry.relay.peer.wire.Pong;
import io.vmferry.relay.peer.wire.Role;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.RejectedExecutionException;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

@ExtendWith(LeakGuard.class)
class CallDispatcherTest {
  private final CountingAllocator memory = new CountingAllocator();
  private final List<String> lost = new ArrayList<>();
  private final List<Runnable> executor = new ArrayList<>();
  private long now;
  private final CallDispatcher calls = new CallDispatcher("b", Role.BULK, () -> now, lost::add);
  private final EmbeddedChannel channel = new EmbeddedChannel(calls);

  @AfterEach
  void nothingIsHeld() {
    runExecutor();
    channel.finishAndReleaseAll();
    assertThat(memory.held()).isZero();
  }

  @Test
  void r11AnswersInAnyOrderFindTheirCalls() {
    RecordedAnswers first = send();
    RecordedAnswers second = send();
    answer(TestFrames.extent(0, 3).setId(2), 3);
    answer(TestFrames.extent(0, 5).setId(1).setLast(true), 5);
    answer(TestFrames.extent(3, 4).setId(2).setLast(true), 4);
    runExecutor();
    assertThat(first.payloads()).extracting(p -> p.length).containsExactly(5);
    assertThat(second.payloads()).extracting(p -> p.length).containsExactly(3, 4);
    assertThat(second.order()).containsExactly("EXTENT", "EXTENT", RecordedAnswers.GOOD_END);
  }

  @Test
  void requestsAreNumbered() {
    send();
    send();
    assertThat(((PeerFrame) channel.readOutbound()).header().getId()).isEqualTo(1);
    assertThat(((PeerFrame) channel.readOutbound()).header().getId()).isEqualTo(2);
  }

  @Test
  void payloadLivesUntilTheExecutorHasRun() {
    send();
    answer(TestFrames.extent(0, 64).setId(1).setLast(true), 64);
    assertThat(memory.held()).isPositive();
    runExecutor();
    assertThat(memory.held()).isZero();
  }

  @Test
  void lossEndsEveryCallOnceAfterItsFrames() {
    RecordedAnswers half = send();
    RecordedAnswers none = send();
    RecordedAnswers whole = send();
    answer(TestFrames.done().setId(3).setLast(true), 0);
    answer(TestFrames.extent(0, 3).setId(1), 3);
    channel.close().syncUninterruptibly();
    calls.end("too late to be a reason");
    runExecutor();
    assertThat(half.order()).containsExactly("EXTENT", RecordedAnswers.GOOD_END);
    assertThat(whole.ends()).containsExactly(RecordedAnswers.GOOD_END);
    assertThat((Exception) half.ends().get(0))
        .isInstanceOf(LinkDownException.class)
        .hasMessage("no BULK connection to peer b: the peer closed the connection");
    assertThat(none.ends()).hasSize(1);
    assertThat(lost).containsExactly("the peer closed the connection");
  }

  @Test
  void callAfterTheLossEndsToo() {
    calls.end("gone");
    RecordedAnswers answers = send();
    runExecutor();
    assertThat((Exception) answers.ends().get(0)).hasMessageEndingWith("gone");
  }

  @Test
  void answersAfterTheLossAreDropped() {
    // TLS says goodbye before it closes; until then data still comes in.
    channel
        .pipeline()
        .addFirst(
            new ChannelOutboundHandlerAdapter() {
              @Override
              public void close(ChannelHandlerContext ctx, ChannelPromise promise) {}
            });
    RecordedAnswers answers = send();
    calls.end("gone");
    answer(TestFrames.extent(0, 3).setId(1), 3);
    assertThat(memory.held()).isZero();
    runExecutor();
    assertThat(answers.order()).containsExactly(RecordedAnswers.GOOD_END);
    channel.pipeline().removeFirst();
  }

  @Test
  void answerToNoRequestEndsTheConnection() {
    answer(TestFrames.extent(0, 3).setId(9), 3);
    assertThat(lost).containsExactly("broken answer: answer EXTENT to request 9, never asked");
    assertThat(channel.isOpen()).isFalse();
  }

  @Test
  void answerOfWrongFormEndsTheConnection() {
    RecordedAnswers answers = send();
    answer(TestFrames.extent(0, 3).setId(1), 2);
    runExecutor();
    assertThat(answers.frames()).isEmpty();
    assertThat((Exception) answers.ends().get(0))
        .hasMessageContaining("broken answer: EXTENT with a payload of 2 bytes instead of 3");
  }

  @Test
  void errorEndsTheConnection() {
    RecordedAnswers answers = send();
    channel.pipeline().fireExceptionCaught(new IOException("Connection reset by peer"));
    runExecutor();
    assertThat((Exception) answers.ends().get(0)).hasMessageEndingWith("Connection reset by peer");
  }

  @Test
  void bugEndsTheConnectionAndIsLogged() {
    try (CapturedLog log = new CapturedLog()) {
      channel.pipeline().fireExceptionCaught(new IllegalStateException("bug"));
      assertThat(log.warnings()).containsExactly("Bug in the connection to peer b (BULK)");
    }
    assertThat(lost).containsExactly("bug");
  }

  @Test
  void pingMeasuresTheRoundTripAndOneIsUnderWay() {
    calls.beat();
    calls.beat();
    PeerFrame ping = channel.readOutbound();
    assertThat(ping.header().hasPing()).isTrue();
    assertThat(channel.outboundMessages()).isEmpty();
    now = 20_000_000;
    pong(ping.header().getId());
    assertThat(calls.roundTrip()).isEqualTo(new RoundTrip(20_000_000, 20_000_000));
    calls.beat();
    assertThat(channel.outboundMessages()).hasSize(1);
  }

  @Test
  void pongToNoPingMeasuresNothing() {
    calls.beat();
    now = 1;
    pong(99);
    assertThat(calls.roundTrip()).isEqualTo(RoundTrip.UNKNOWN);
    assertThat(lost).isEmpty();
  }

  @Test
  void executorThatHasShutDownLeaksNothing() {
    try (CapturedLog log = new CapturedLog()) {
      calls.send(
          new PeerCall(
              TestFrames.read(0, 4),
              task -> {
                throw new RejectedExecutionException();
              },
              new RecordedAnswers()));
      answer(TestFrames.extent(0, 4).setId(1).setLast(true), 4);
      assertThat(memory.held()).isZero();
      assertThat(log.warnings()).first().asString().contains("its caller has shut down");
    }
  }

  @Test
  void callerThatThrowsStillGetsItsEnd() {
    RecordedAnswers recorded = new RecordedAnswers();
    PeerLink.Answers answers =
        new PeerLink.Answers() {
          @Override
          public void frame(Frame answer, ByteBuf payload) {
            throw new IllegalStateException("bug of the caller");
          }

          @Override
          public void end(Exception error) {
            recorded.end(error);
          }
        };
    try (CapturedLog log = new CapturedLog()) {
      calls.send(new PeerCall(TestFrames.read(0, 4), Runnable::run, answers));
      answer(TestFrames.extent(0, 4).setId(1).setLast(true), 4);
      assertThat(log.warnings()).containsExactly("The caller of READ failed on an answer");
    }
    assertThat(recorded.ends()).containsExactly(RecordedAnswers.GOOD_END);
  }

  private RecordedAnswers send() {
    RecordedAnswers answers = new RecordedAnswers();
    calls.send(new PeerCall(TestFrames.read(0, 4096), executor::add, answers));
    return answers;
  }

  private void answer(Frame.Builder answer, int payloadBytes) {
    ByteBuf payload =
        payloadBytes == 0
            ? Unpooled.EMPTY_BUFFER
            : memory.directBuffer(payloadBytes).writeZero(payloadBytes);
    channel.writeInbound(new PeerFrame(answer.build(), payload));
  }

  private void pong(long id) {
    answer(Frame.newBuilder().setId(id).setLast(true).setPong(Pong.getDefaultInstance()), 0);
  }

  private void runExecutor() {
    List<Runnable> tasks = new ArrayList<>(executor);
    executor.clear();
    tasks.forEach(Runnable::run);
  }
}
