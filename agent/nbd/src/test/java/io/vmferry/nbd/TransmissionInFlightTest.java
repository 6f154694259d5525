// SPDX-License-Identifier: Apache-2.0
package io.vmferry.nbd;

import static org.assertj.core.api.Assertions.assertThat;

import io.vmferry.nbd.ServerBytes.Reply;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import org.junit.jupiter.api.Test;

/** Many requests at a time, and the end of a connection while some are under way. */
class TransmissionInFlightTest extends TransmissionFixture {
  @Test
  void x29DiscFinishesWhatIsInFlight() {
    export.holding = true;
    try (EmbeddedServer server = serve(export)) {
      server.send(new ClientBytes().read(1, 0, 8).write(2, 0, new byte[8]).disc().read(3, 0, 8));
      assertThat(server.isOpen()).isTrue();
      assertThat(server.received()).isEmpty();
      server.send(new ClientBytes().read(4, 0, 8));
      export.releaseAll();
      ServerBytes replies = server.replies();
      assertThat(replies.reply().cookie() + replies.reply().cookie()).isEqualTo(1 + 2);
      assertThat(replies.atEnd()).isTrue();
      assertThat(server.isOpen()).isFalse();
    }
    assertThat(export.calls)
        .containsExactly("read 0+8", "write 0+8 fua=false", "closed orderly=true");
  }

  @Test
  void x30ClientThatVanishesInAPayloadLeavesNothing() {
    try (EmbeddedServer server = serve(export)) {
      server.send(new ClientBytes().request(0, WRITE, 1, 0, 4096).raw(new byte[100]));
      server.clientVanishes();
    }
    assertThat(export.calls).containsExactly("closed orderly=false");
  }

  @Test
  void x30RepliesToAClientThatVanishedGoNowhere() {
    export.holding = true;
    try (EmbeddedServer server = serve(export)) {
      server.send(
          new ClientBytes()
              .read(1, 0, 4096)
              .write(2, 0, new byte[9])
              .request(0, BLOCK_STATUS, 3, 0, 4096)
              .read(4, 0, 4096));
      server.clientVanishes();
      assertThat(export.calls).endsWith("closed orderly=false");
      export.failure = null;
      export.releaseOne();
      export.releaseOne();
      export.releaseOne();
      export.failure = NbdError.EIO;
      export.releaseOne();
    }
  }

  @Test
  void x31ManySlowRequestsDelayNoOther() {
    export.holding = true;
    try (EmbeddedServer server = serve(export)) {
      ClientBytes slow = new ClientBytes();
      for (int cookie = 0; cookie < 64; cookie++) {
        slow.read(cookie, cookie, 1);
      }
      server.send(slow);
      export.holding = false;
      server.send(new ClientBytes().read(99, 8, 8));
      assertThat(server.replies().reply().cookie()).isEqualTo(99);
      List<Runnable> backwards = new ArrayList<>(export.held);
      Collections.reverse(backwards);
      backwards.forEach(Runnable::run);
      ServerBytes replies = server.replies();
      for (long cookie = 63; cookie >= 0; cookie--) {
        Reply reply = replies.reply();
        assertThat(reply.cookie()).isEqualTo(cookie);
        assertThat(reply.data().getLong()).isEqualTo(cookie);
      }
    }
  }

  @Test
  void x31RepliesComeInTheOrderOfCompletion() {
    export.holding = true;
    try (EmbeddedServer server = serve(export)) {
      server.send(new ClientBytes().read(1, 0, 8));
      export.holding = false;
      server.send(new ClientBytes().read(2, 8, 8));
      ServerBytes early = server.replies();
      assertThat(early.reply().cookie()).isEqualTo(2);
      assertThat(early.atEnd()).isTrue();
      export.releaseAll();
      assertThat(server.replies().reply().cookie()).isEqualTo(1);
    }
  }

  @Test
  void x31RequestsInFlightAreBounded() {
    export.holding = true;
    try (EmbeddedServer server = serve(export)) {
      ClientBytes many = new ClientBytes();
      for (int i = 0; i < 200; i++) {
        many.read(i, 0, 1);
      }
      server.send(many);
      assertThat(export.held).hasSize(128);
      assertThat(server.channel.config().isAutoRead()).isFalse();
      export.releaseOne();
      assertThat(export.held).hasSize(128);
      export.releaseAll();
      assertThat(server.channel.config().isAutoRead()).isTrue();
      ServerBytes replies = server.replies();
      for (int i = 0; i < 200; i++) {
        assertThat(replies.reply().cookie()).isEqualTo(i);
      }
    }
  }

  @Test
  void bytesInFlightAreBounded() {
    MemoryExport large = MemoryExport.writable(32 << 20);
    large.holding = true;
    try (EmbeddedServer server = serve(large)) {
      server.send(new ClientBytes().read(1, 0, 32 << 20).read(2, 0, 20 << 20).read(3, 0, 20 << 20));
      assertThat(large.held).hasSize(2);
      assertThat(server.channel.config().isAutoRead()).isFalse();
      large.releaseOne();
      server.received();
      assertThat(large.held).hasSize(2);
      large.releaseAll();
      server.received();
      assertThat(server.channel.config().isAutoRead()).isTrue();
    }
  }

  @Test
  void x32StoppingServerFinishesWhatIsInFlightAndRefusesTheRest() {
    export.holding = true;
    try (EmbeddedServer server = serve(export)) {
      server.send(new ClientBytes().read(1, 0, 8).request(0, WRITE, 2, 0, 100).raw(new byte[50]));
      server.stop();
      server.send(new ClientBytes().raw(new byte[50]).write(3, 0, new byte[10]).read(4, 0, 8));
      ServerBytes replies = server.replies();
      for (long cookie = 2; cookie <= 4; cookie++) {
        assertThat(replies.reply()).extracting("cookie", "error").contains(cookie, ESHUTDOWN);
      }
      assertThat(server.isOpen()).isTrue();
      export.releaseAll();
      assertThat(server.replies().reply()).extracting("cookie", "error").contains(1L, 0);
      assertThat(server.isOpen()).isFalse();
    }
    assertThat(export.calls).containsExactly("read 0+8", "closed orderly=false");
  }

  @Test
  void exhaustedMemoryEndsTheConnectionOnly() {
    export.holding = true;
    try (EmbeddedServer server = serve(export)) {
      ClientBytes oneTooMany = new ClientBytes();
      for (int i = 0; i <= 128; i++) {
        oneTooMany.read(i, 0, 1);
      }
      server.send(oneTooMany);
      server.exhaustMemory();
      export.releaseOne();
      assertThat(server.isOpen()).isFalse();
      server.received();
      export.releaseAll();
    }
    assertThat(export.calls).endsWith("closed orderly=false");
  }
}
