// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.peer;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.netty.buffer.ByteBuf;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelOutboundHandlerAdapter;
import io.netty.channel.ChannelPromise;
import io.netty.channel.embedded.EmbeddedChannel;
import io.vmferry.relay.peer.wire.Frame;
import io.vmferry.relay.peer.wire.Ping;
import io.vmferry.relay.peer.wire.Refused;
import io.vmferry.relay.peer.wire.Role;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

@ExtendWith(LeakGuard.class)
class RequestDispatcherTest {
  private static final int MIB = 1024 * 1024;

  private final CountingAllocator memory = new CountingAllocator();
  private final CapturedLog log = new CapturedLog();
  private final List<PeerService.Responder> requests = new ArrayList<>();
  private PeerService service = (peer, role, request, responder) -> requests.add(responder);
  private EmbeddedChannel channel = connection(Role.BULK);

  @AfterEach
  void nothingIsHeld() {
    log.close();
    channel.finishAndReleaseAll();
    assertThat(memory.held()).isZero();
  }

  @ParameterizedTest
  @EnumSource(names = {"CONTROL", "DEMAND", "BULK"})
  void pingIsAnsweredWithoutTheService(Role role) {
    channel = connection(role);
    request(Frame.newBuilder().setId(5).setPing(Ping.getDefaultInstance()).build());
    Frame pong = answer();
    assertThat(pong.hasPong()).isTrue();
    assertThat(pong.getId()).isEqualTo(5);
    assertThat(pong.getLast()).isTrue();
    assertThat(requests).isEmpty();
  }

  @Test
  void answersCarryTheIdAndTheLastMark() {
    request(read(7));
    requests.get(0).answer(TestFrames.extent(0, 3), payload(3), false);
    requests.get(0).answer(TestFrames.extent(3, 4), payload(4), true);
    assertThat(answer()).isEqualTo(TestFrames.extent(0, 3).setId(7).build());
    assertThat(answer()).isEqualTo(TestFrames.extent(3, 4).setId(7).setLast(true).build());
  }

  @Test
  void aFencedConnectionPassesNothingOnAndEnds() {
    RequestDispatcher before = new RequestDispatcher("a", Role.CONTROL, this::handle);
    EmbeddedChannel old = new EmbeddedChannel(before);
    ControlFence fence = new ControlFence();
    fence.admit("a", before);
    old.writeInbound(PeerFrame.of(TestFrames.locate().toBuilder().setId(1).build()));
    assertThat(requests).singleElement().matches(responder -> !responder.fenced());

    fence.admit("other", new RequestDispatcher("other", Role.CONTROL, this::handle));
    assertThat(requests.get(0).fenced()).as("by another peer").isFalse();
    channel = connection(Role.CONTROL);
    fence.admit("a", channel.pipeline().get(RequestDispatcher.class));
    assertThat(requests.get(0).fenced()).isTrue();
    old.writeInbound(PeerFrame.of(TestFrames.locate().toBuilder().setId(2).build()));
    assertThat(requests).as("none came through").hasSize(1);
    old.runPendingTasks();
    assertThat(old.isOpen()).isFalse();

    fence.gone("a", before);
    request(TestFrames.locate().toBuilder().setId(3).build());
    assertThat(requests).as("the newer one serves").hasSize(2);
    assertThat(requests.get(1).fenced()).isFalse();
    old.finishAndReleaseAll();
  }

  private void handle(String peer, Role role, Frame request, PeerService.Responder responder) {
    service.handle(peer, role, request, responder);
  }

  @Test
  void requestOfWrongFormIsRefusedAndTheConnectionStays() {
    request(TestFrames.locate().toBuilder().setId(3).build());
    Frame refused = answer();
    assertThat(refused.getId()).isEqualTo(3);
    assertThat(refused.getLast()).isTrue();
    assertThat(refused.getRefused().getCode()).isEqualTo(Refused.Code.BAD_REQUEST);
    assertThat(channel.isActive()).isTrue();
  }

  @Test
  void payloadOfARequestIsReleased() {
    channel.writeInbound(new PeerFrame(read(1), payload(10)));
    assertThat(answer().getRefused().getMessage()).contains("has no payload");
    assertThat(memory.held()).isZero();
  }

  @Test
  void unansweredRequestsAreLimited() {
    for (int i = 1; i <= RequestDispatcher.MAX_REQUESTS; i++) {
      request(read(i));
    }
    assertThat(channel.outboundMessages()).isEmpty();
    request(read(9999));
    assertThat(answer().getRefused().getCode()).isEqualTo(Refused.Code.BUSY);
    requests.get(0).answer(TestFrames.done(), null, true);
    assertThat(answer().hasDone()).isTrue();
    request(read(10000));
    assertThat(channel.outboundMessages()).isEmpty();
  }

  @Test
  void serviceThatThrowsFailsItsRequestOnly() {
    service =
        (peer, role, request, responder) -> {
          throw new IllegalStateException("bug");
        };
    request(read(1));
    Frame refused = answer();
    assertThat(refused.getRefused().getCode()).isEqualTo(Refused.Code.FAILED);
    assertThat(refused.getRefused().getMessage()).contains("internal error at the peer");
    assertThat(channel.isActive()).isTrue();
  }

  @Test
  void serviceThatThrowsAfterItsLastAnswerAddsNone() {
    service =
        (peer, role, request, responder) -> {
          responder.answer(TestFrames.done(), null, true);
          throw new IllegalStateException("bug");
        };
    request(read(1));
    assertThat(answer().hasDone()).isTrue();
    assertThat(channel.outboundMessages()).isEmpty();
  }

  @Test
  void secondLastAnswerIsABug() {
    request(read(1));
    requests.get(0).answer(TestFrames.done(), null, true);
    assertThatThrownBy(() -> requests.get(0).answer(TestFrames.extent(0, 3), payload(3), false))
        .isInstanceOf(IllegalStateException.class)
        .hasMessage("request 1 already has its last answer");
    assertThatThrownBy(() -> requests.get(0).answer(TestFrames.done(), null, true))
        .isInstanceOf(IllegalStateException.class);
    assertThat(memory.held()).isZero();
  }

  @Test
  void tooLargeAnswerIsABugAndReleased() {
    request(read(1));
    ByteBuf huge = payload(2 * MIB + 1);
    assertThatThrownBy(() -> requests.get(0).answer(TestFrames.extent(0, 3), huge, true))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("payload of 2097153 bytes");
    assertThat(memory.held()).isZero();
    requests.get(0).answer(TestFrames.done(), null, true);
    assertThat(answer().hasDone()).isTrue();
  }

  @Test
  void answersAfterTheLossDoNothing() {
    request(read(1));
    channel.close().syncUninterruptibly();
    requests.get(0).answer(TestFrames.extent(0, 3), payload(3), false);
    requests.get(0).answer(TestFrames.extent(3, 3), payload(3), true);
    assertThat(memory.held()).isZero();
    assertThat(requests.get(0).queuedBytes()).isZero();
    assertThat(log.warnings()).isEmpty();
  }

  @Test
  void answerThatCannotBeWrittenEndsTheConnection() {
    channel
        .pipeline()
        .addFirst(
            new ChannelOutboundHandlerAdapter() {
              @Override
              public void write(ChannelHandlerContext ctx, Object message, ChannelPromise promise) {
                ((PeerFrame) message).release();
                promise.setFailure(new IOException("disk on fire"));
              }
            });
    request(read(1));
    requests.get(0).answer(TestFrames.done(), null, true);
    assertThat(channel.isOpen()).isFalse();
    assertThat(log.with("disk on fire")).hasSize(1);
  }

  @Test
  void waitersResumeAtOnceWhileTheQueueIsShort() {
    request(read(1));
    List<String> ran = new ArrayList<>();
    requests.get(0).whenWritable(() -> ran.add("a"));
    channel.runPendingTasks();
    assertThat(ran).containsExactly("a");
  }

  @Test
  void waitersResumeOneByOneWhenTheQueueGetsShort() {
    request(read(1));
    PeerService.Responder responder = requests.get(0);
    List<String> ran = new ArrayList<>();
    fillQueue();
    responder.whenWritable(
        () -> {
          ran.add("a");
          fillQueue();
        });
    responder.whenWritable(() -> ran.add("b"));
    channel.runPendingTasks();
    assertThat(ran).isEmpty();
    emptyQueue();
    assertThat(ran).containsExactly("a");
    emptyQueue();
    assertThat(ran).containsExactly("a", "b");
  }

  @Test
  void waitersResumeWhenTheConnectionIsLost() {
    request(read(1));
    List<String> ran = new ArrayList<>();
    fillQueue();
    requests
        .get(0)
        .whenWritable(
            () -> {
              throw new IllegalStateException("bug");
            });
    requests.get(0).whenWritable(() -> ran.add("b"));
    channel.runPendingTasks();
    channel.close().syncUninterruptibly();
    channel.runPendingTasks();
    assertThat(ran).containsExactly("b");
    assertThat(log.warnings()).containsExactly("Answering peer a could not go on");
  }

  @Test
  void brokenFrameEndsTheConnectionWithOneLine() {
    channel.pipeline().fireExceptionCaught(new BrokenFrameException("magic is 0x00000000"));
    assertThat(channel.isOpen()).isFalse();
    assertThat(log.with("ended")).hasSize(1);
    assertThat(log.with("broken frame: magic is 0x00000000")).hasSize(1);
  }

  @Test
  void silenceEndsTheConnection() {
    channel.pipeline().get(RequestDispatcher.class).silent();
    assertThat(channel.isOpen()).isFalse();
    assertThat(log.with("nothing heard for 15 s")).hasSize(1);
  }

  /** As data does that waits for a slow line. */
  private void fillQueue() {
    channel.unsafe().outboundBuffer().setUserDefinedWritability(1, false);
  }

  private void emptyQueue() {
    channel.unsafe().outboundBuffer().setUserDefinedWritability(1, true);
    channel.runPendingTasks();
  }

  private EmbeddedChannel connection(Role role) {
    return new EmbeddedChannel(
        new RequestDispatcher(
            "a",
            role,
            (peer, r, request, responder) -> service.handle(peer, r, request, responder)));
  }

  private void request(Frame request) {
    channel.writeInbound(PeerFrame.of(request));
  }

  private static Frame read(long id) {
    return TestFrames.read(0, 4096).toBuilder().setId(id).build();
  }

  private Frame answer() {
    PeerFrame frame = channel.readOutbound();
    frame.release();
    return frame.header();
  }

  private ByteBuf payload(int bytes) {
    return memory.directBuffer(bytes).writeZero(bytes);
  }
}
