// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.peer;

import static org.assertj.core.api.Assertions.assertThat;

import io.netty.buffer.Unpooled;
import io.netty.channel.embedded.EmbeddedChannel;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class HeartbeatTest {
  private final Heartbeat heartbeat = new Heartbeat();
  private final EmbeddedChannel channel = new EmbeddedChannel(heartbeat);
  private final AtomicInteger beats = new AtomicInteger();
  private final AtomicInteger lost = new AtomicInteger();

  @BeforeEach
  void start() {
    channel.freezeTime();
    heartbeat.start(5, beats::incrementAndGet, lost::incrementAndGet);
  }

  @Test
  void beatsAtOnceAndEverySecond() {
    assertThat(beats).hasValue(1);
    seconds(2);
    assertThat(beats).hasValue(3);
  }

  @Test
  void fiveSilentBeatsAreALossOnce() {
    seconds(5);
    assertThat(lost).hasValue(0);
    seconds(20);
    assertThat(lost).hasValue(1);
  }

  @Test
  void anyByteKeepsTheConnection() {
    for (int i = 0; i < 30; i++) {
      seconds(4);
      channel.writeInbound(Unpooled.wrappedBuffer(new byte[1]));
    }
    assertThat(lost).hasValue(0);
  }

  @Test
  void aStoppedProcessIsNotSilence() {
    seconds(4);
    // Stopped for a minute: the event loop runs one late beat, then reads what has arrived.
    channel.advanceTimeBy(60, TimeUnit.SECONDS);
    channel.runScheduledPendingTasks();
    channel.writeInbound(Unpooled.wrappedBuffer(new byte[1]));
    seconds(3);
    assertThat(lost).hasValue(0);
  }

  @Test
  void closedConnectionBeatsNoMore() {
    channel.close().syncUninterruptibly();
    seconds(30);
    assertThat(beats).hasValue(1);
    assertThat(lost).hasValue(0);
  }

  private void seconds(int seconds) {
    for (int i = 0; i < seconds; i++) {
      channel.advanceTimeBy(1, TimeUnit.SECONDS);
      channel.runScheduledPendingTasks();
    }
  }
}
