// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.peer;

import static org.assertj.core.api.Assertions.assertThat;

import io.netty.channel.embedded.EmbeddedChannel;
import io.vmferry.relay.peer.wire.Role;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;

/** A peer that connects and then says nothing holds no connection for ever. */
class HandshakeTimeoutTest {

  @Test
  void listeningSideGivesUp() {
    EmbeddedChannel channel = new EmbeddedChannel();
    channel.freezeTime();
    try (CapturedLog log = new CapturedLog()) {
      channel
          .pipeline()
          .addLast(new ServerHandshake(null, node -> true, null, null, null, () -> {}, null));
      advance(channel, PeerSockets.SETUP_TIMEOUT_MILLIS - 1);
      assertThat(channel.isOpen()).isTrue();
      advance(channel, 1);
      assertThat(channel.isOpen()).isFalse();
      assertThat(log.warnings()).singleElement().asString().contains("no hello within 12000 ms");
    }
  }

  @Test
  void connectingSideGivesUp() {
    List<String> failures = new ArrayList<>();
    ClientHandshake.Outcome outcome =
        new ClientHandshake.Outcome() {
          @Override
          public void established(CallDispatcher connection) {
            failures.add("established");
          }

          @Override
          public void lost(String reason) {
            failures.add("lost");
          }

          @Override
          public void failed(String reason) {
            failures.add(reason);
          }
        };
    ClientHandshake handshake =
        new ClientHandshake(null, "b", Role.BULK, new Heartbeat(), new FrameDecoder(), outcome);
    EmbeddedChannel channel = new EmbeddedChannel(handshake);
    channel.freezeTime();
    // Once more than the limit, since the timer was started before time was frozen.
    advance(channel, 2 * PeerSockets.SETUP_TIMEOUT_MILLIS);
    assertThat(channel.isOpen()).isFalse();
    assertThat(failures).containsExactly("no hello within 12000 ms");
  }

  private static void advance(EmbeddedChannel channel, long millis) {
    channel.advanceTimeBy(millis, TimeUnit.MILLISECONDS);
    channel.runScheduledPendingTasks();
  }
}
