// SPDX-License-Identifier: Apache-2.0
package io.vmferry.nbd;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.Arrays;
import java.util.concurrent.CompletableFuture;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Greeting, client flags, EXPORT_NAME and the time allowed for all that. */
class GreetingTest {
  private final MemoryExport export = MemoryExport.writable(8192);

  @Test
  void h01GreetingIs18Bytes() {
    try (EmbeddedServer server = new EmbeddedServer(export)) {
      ByteBuffer greeting = ByteBuffer.wrap(server.received());
      assertThat(greeting.remaining()).isEqualTo(18);
      assertThat(greeting.getLong()).isEqualTo(0x4e42444d41474943L);
      assertThat(greeting.getLong()).isEqualTo(0x49484156454f5054L);
      assertThat(greeting.getShort()).isEqualTo((short) 3);
    }
  }

  @Test
  void h03UnknownClientFlagEndsTheConnection() {
    try (EmbeddedServer server = new EmbeddedServer(export)) {
      server.received();
      server.send(new ClientBytes().flags(3 | 1 << 8).option(3));
      assertThat(server.isOpen()).isFalse();
      assertThat(server.received()).isEmpty();
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {2, 3, 5, 6, 7, 8, 9, 10, 11, 99})
  void h05OldClientMayOnlySendExportName(int option) {
    try (EmbeddedServer server = new EmbeddedServer(export)) {
      server.received();
      server.send(new ClientBytes().flags(0).option(option));
      assertThat(server.isOpen()).isFalse();
      assertThat(server.received()).isEmpty();
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {0, 1, 2, 3})
  void h07ExportNameIsPaddedUnlessNoZeroes(int flags) {
    try (EmbeddedServer server = new EmbeddedServer(export)) {
      server.received();
      server.send(
          new ClientBytes().flags(flags).option(1, ClientBytes.utf8("disk")).read(7, 0, 16));
      ServerBytes received = server.replies();
      ByteBuffer answer = ByteBuffer.wrap(received.raw((flags & 2) == 0 ? 134 : 10));
      assertThat(answer.getLong()).isEqualTo(8192);
      // HAS_FLAGS, FLUSH, FUA, TRIM, WRITE_ZEROES, MULTI_CONN, CACHE, FAST_ZERO
      assertThat(answer.getShort() & 0xffff).isEqualTo(0b1101_0110_1101);
      while (answer.hasRemaining()) {
        assertThat(answer.get()).isZero();
      }
      assertThat(received.reply(16).cookie()).isEqualTo(7);
    }
  }

  @Test
  void h08UnknownExportNameEndsTheConnectionSilently() {
    try (EmbeddedServer server = new EmbeddedServer(export)) {
      server.received();
      server.send(new ClientBytes().flags(3).option(1, ClientBytes.utf8("nowhere")));
      assertThat(server.isOpen()).isFalse();
      assertThat(server.received()).isEmpty();
    }
  }

  @ParameterizedTest
  @EnumSource(NbdExportException.Reason.class)
  void h08RefusedExportNameEndsTheConnectionSilently(NbdExportException.Reason reason) {
    export.refusesToOpen = new NbdExportException(reason, "The volume went away; try again.");
    try (EmbeddedServer server = new EmbeddedServer(export)) {
      server.received();
      server.send(new ClientBytes().flags(3).option(1, ClientBytes.utf8("disk")));
      assertThat(server.isOpen()).isFalse();
      assertThat(server.received()).isEmpty();
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {4097, 64 << 10, 32 << 20, Integer.MIN_VALUE, -1})
  void h10cve202226495ExportNameOfAnyLengthTakesNoMemory(int length) {
    try (EmbeddedServer server = new EmbeddedServer(export)) {
      server.received();
      server.send(new ClientBytes().flags(3).optionHeader(1, length));
      for (int sent = 0; server.isOpen() && sent != length; ) {
        byte[] piece = new byte[Math.min(length - sent, 1 << 20)];
        Arrays.fill(piece, (byte) 'x');
        server.send(piece);
        sent += piece.length;
        assertThat(server.bufferedBytes()).isLessThan(3 << 20);
      }
      assertThat(server.isOpen()).isFalse();
      assertThat(server.received()).isEmpty();
    }
    assertThat(export.calls).isEmpty();
  }

  @Test
  void h09EmptyNameIsLookedUpLikeAnyOther() {
    export.otherwise = CompletableFuture.completedFuture(export);
    try (EmbeddedServer server = new EmbeddedServer(export)) {
      server.send(new ClientBytes().flags(3).go(""));
      assertThat(export.calls).containsExactly("find ", "open");
    }
  }

  @Test
  void h11BadOptionMagicEndsTheConnectionSilently() {
    try (EmbeddedServer server = new EmbeddedServer(export)) {
      server.received();
      server.send(new ClientBytes().flags(3).raw(new byte[16]));
      assertThat(server.isOpen()).isFalse();
      assertThat(server.received()).isEmpty();
    }
  }

  @Test
  void h12SilentClientIsClosedAfterTheTimeout() {
    try (EmbeddedServer server = new EmbeddedServer(export)) {
      server.pass(Duration.ofMillis(9_999));
      assertThat(server.isOpen()).isTrue();
      server.pass(Duration.ofMillis(1));
      assertThat(server.isOpen()).isFalse();
    }
  }

  @Test
  void h12SlowClientIsClosedAfterTheTimeoutToo() {
    try (EmbeddedServer server = new EmbeddedServer(export)) {
      server.send(new ClientBytes().flags(3));
      for (int second = 0; second < 10; second++) {
        assertThat(server.isOpen()).isTrue();
        server.send(new ClientBytes().option(3));
        server.pass(Duration.ofSeconds(1));
      }
      assertThat(server.isOpen()).isFalse();
    }
  }

  @Test
  void h12LookUpTimeIsNotTheClients() {
    CompletableFuture<NbdExport> found = new CompletableFuture<>();
    export.otherwise = found;
    try (EmbeddedServer server = new EmbeddedServer(export)) {
      server.pass(Duration.ofSeconds(6));
      server.send(new ClientBytes().flags(3).info("far"));
      server.pass(Duration.ofHours(1));
      found.complete(export);
      server.pass(Duration.ofMillis(3_999));
      assertThat(server.isOpen()).isTrue();
      server.pass(Duration.ofMillis(1));
      assertThat(server.isOpen()).isFalse();
    }
  }

  @Test
  void h12TransmissionHasNoTimeout() {
    try (EmbeddedServer server = EmbeddedServer.transmitting(export, true)) {
      server.pass(Duration.ofHours(1));
      assertThat(server.isOpen()).isTrue();
    }
  }
}
