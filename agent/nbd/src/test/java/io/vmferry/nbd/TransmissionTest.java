// SPDX-License-Identifier: Apache-2.0
package io.vmferry.nbd;

import static org.assertj.core.api.Assertions.assertThat;

import io.vmferry.nbd.ServerBytes.Reply;
import java.util.Arrays;
import java.util.HashSet;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Requests and their verdicts. */
class TransmissionTest extends TransmissionFixture {
  @ParameterizedTest
  @ValueSource(longs = {0, -1, 1, Long.MIN_VALUE, 0x25609513_25609513L})
  void x02CookieIsEchoed(long cookie) {
    assertThat(reply(new ClientBytes().read(cookie, 0, 8)).cookie()).isEqualTo(cookie);
    assertThat(reply(new ClientBytes().write(cookie, 0, new byte[8])).cookie()).isEqualTo(cookie);
  }

  @Test
  void x02TheSameCookieTwice() {
    try (EmbeddedServer server = serve(export)) {
      server.send(new ClientBytes().read(3, 0, 8).read(3, 8, 8));
      ServerBytes replies = server.replies();
      assertThat(replies.reply().data().getLong()).isEqualTo(0);
      assertThat(replies.reply().data().getLong()).isEqualTo(8);
    }
  }

  @ParameterizedTest
  @CsvSource({
    "0, 65536, 1, 22",
    "0, 65535, 2, 22",
    "0, -1, 2, 22",
    "0, 9223372036854775807, 1, 22",
    "1, 65536, 1, 28",
    "1, 65000, 1000, 28",
    "6, 65535, 2, 28",
    "6, -1, 2, 28",
    "4, 65535, 2, 22",
    "5, 65535, 2, 22",
    "7, 65535, 2, 22"
  })
  void x03x04x05RangesPastTheEnd(int type, long offset, int length, int expected) {
    assertThat(error(0, type, offset, length)).isEqualTo(expected);
    assertThat(export.requests()).containsExactly("read 0+1");
  }

  @ParameterizedTest
  @ValueSource(ints = {READ, WRITE, TRIM, CACHE, WRITE_ZEROES, BLOCK_STATUS})
  void x06ZeroLengthIsAnswered(int type) {
    assertThat(error(0, type, 0, 0)).isEqualTo(EINVAL);
  }

  @ParameterizedTest
  @ValueSource(ints = {READ, WRITE, TRIM, CACHE, WRITE_ZEROES, BLOCK_STATUS})
  void x07OddRangesAreServedAsTheMinimumIsOneByte(int type) {
    assertThat(error(0, type, 4097, 511)).isZero();
    assertThat(error(0, type, SIZE - 1, 1)).isZero();
  }

  @ParameterizedTest
  @ValueSource(ints = {33 << 20, -1})
  void x08ReadAboveTheMaximumIsRefusedWithoutMemory(int length) {
    MemoryExport large = new MemoryExport(new ExportInfo("disk", 1L << 40, false, true, true));
    try (EmbeddedServer server = serve(large)) {
      long before = server.bufferedBytes();
      server.send(new ClientBytes().read(1, 0, length));
      assertThat(server.replies().reply().error()).isEqualTo(EINVAL);
      assertThat(server.bufferedBytes()).isEqualTo(before);
    }
  }

  @Test
  void x08x36ReadOfTheMaximumWorks() {
    MemoryExport large = MemoryExport.writable(32 << 20);
    try (EmbeddedServer server = serve(large)) {
      server.send(new ClientBytes().read(1, 0, 32 << 20));
      assertThat(server.replies().reply().data().remaining()).isEqualTo(8 + (32 << 20));
    }
  }

  @Test
  void x09WriteThatIsTooLongIsDrainedWithoutMemory() {
    try (EmbeddedServer server = serve(export)) {
      long before = server.bufferedBytes();
      int length = (32 << 20) + 1;
      server.send(new ClientBytes().request(0, WRITE, 1, 0, length));
      byte[] piece = new byte[1 << 20];
      for (int i = 0; i < 32; i++) {
        server.send(piece);
        assertThat(server.received()).isEmpty();
        assertThat(server.bufferedBytes()).isEqualTo(before);
      }
      server.send(new ClientBytes().raw(new byte[1]).read(2, 0, 1));
      Set<Long> cookies = new HashSet<>();
      ServerBytes replies = server.replies();
      cookies.add(replies.reply().cookie());
      cookies.add(replies.reply().cookie());
      assertThat(cookies).containsExactlyInAnyOrder(1L, 2L);
    }
  }

  @Test
  void x09PayloadIsNeverMoreThanWhatTheRequestSays() {
    MemoryExport large = MemoryExport.writable(32 << 20);
    try (EmbeddedServer server = serve(large)) {
      long before = server.bufferedBytes();
      server.send(new ClientBytes().request(0, WRITE, 1, 0, 32 << 20));
      server.send(new byte[1]);
      assertThat(server.bufferedBytes() - before).isEqualTo(32 << 20);
    }
  }

  @Test
  void x11FlushWithARangeIsInvalid() {
    assertThat(error(0, FLUSH, 1, 0)).isEqualTo(EINVAL);
    assertThat(error(0, FLUSH, 0, 1)).isEqualTo(EINVAL);
    assertThat(error(0, FLUSH, 0, 0)).isZero();
  }

  @ParameterizedTest
  @ValueSource(ints = {READ, WRITE, TRIM, CACHE, WRITE_ZEROES, BLOCK_STATUS})
  void x12FuaIsAcceptedOnEveryCommand(int type) {
    assertThat(error(1, type, 0, 512)).isZero();
  }

  @Test
  void x12FuaReachesTheSession() {
    error(1, WRITE, 0, 4);
    assertThat(export.requests()).contains("write 0+4 fua=true");
    error(1, TRIM, 8, 4);
    assertThat(export.requests()).contains("trim 8+4 fua=true");
    error(1, WRITE_ZEROES, 16, 4);
    assertThat(export.requests()).contains("zero 16+4 punch=true fast=false fua=true");
  }

  @ParameterizedTest
  @ValueSource(ints = {8, 42, 0xffff})
  void x13UnknownCommandIsInvalid(int type) {
    assertThat(error(0, type, 0, 512)).isEqualTo(EINVAL);
  }

  @ParameterizedTest
  @CsvSource({
    "0, 0x8000",
    "1, 0x8000",
    "0, 8",
    "1, 2",
    "1, 4",
    "1, 8",
    "3, 2",
    "4, 2",
    "5, 8",
    "6, 4",
    "6, 8",
    "7, 2",
    "7, 32",
    "1, 32"
  })
  void x14x15x26FlagsOfNoOrOfAnotherCommandAreInvalid(int type, String flags) {
    assertThat(error(Integer.decode(flags), type, 0, type == FLUSH ? 0 : 512)).isEqualTo(EINVAL);
    assertThat(export.requests()).containsExactly("read 0+1");
  }

  @Test
  void x24WriteZeroesReadsBackZero() {
    assertThat(error(0, WRITE_ZEROES, 10, 100)).isZero();
    assertThat(Arrays.copyOfRange(export.data, 10, 110)).containsOnly(0);
    assertThat(export.requests()).contains("zero 10+100 punch=true fast=false fua=false");
  }

  @Test
  void x24NoHoleReachesTheSession() {
    assertThat(error(2, WRITE_ZEROES, 200, 100)).isZero();
    assertThat(export.requests()).contains("zero 200+100 punch=false fast=false fua=false");
  }

  @Test
  void x24ZeroesAndTrimsMayBeLongerThanAPayload() {
    MemoryExport large = MemoryExport.writable(40 << 20);
    Reply reply = reply(large, new ClientBytes().request(0, WRITE_ZEROES, 1, 0, 40 << 20));
    assertThat(reply.error()).isZero();
    assertThat(reply(large, new ClientBytes().request(0, TRIM, 1, 0, 40 << 20)).error()).isZero();
  }

  @Test
  void x25FastZeroMayBeUnsupported() {
    export.failure = NbdError.ENOTSUP;
    assertThat(error(16, WRITE_ZEROES, 0, 100)).isEqualTo(ENOTSUP);
    assertThat(error(0, WRITE_ZEROES, 0, 100)).isEqualTo(EIO);
    assertThat(error(0, READ, 0, 100)).isEqualTo(EIO);
  }

  @Test
  void x25FastZeroThatIsNotAdvertisedIsInvalid() {
    MemoryExport slow = new MemoryExport(new ExportInfo("disk", SIZE, false, false, true));
    assertThat(reply(slow, new ClientBytes().request(16, WRITE_ZEROES, 1, 0, 100)).error())
        .isEqualTo(EINVAL);
  }

  @Test
  void x26CacheChangesNothing() {
    byte[] before = export.data.clone();
    assertThat(error(0, CACHE, 0, SIZE)).isZero();
    assertThat(export.data).isEqualTo(before);
  }

  @ParameterizedTest
  @ValueSource(ints = {WRITE, TRIM, WRITE_ZEROES})
  void x27ReadOnlyExportRefusesChanges(int type) {
    MemoryExport readOnly = new MemoryExport(new ExportInfo("disk", SIZE, true, true, true));
    ClientBytes request = new ClientBytes().request(0, type, 1, 0, 512);
    if (type == WRITE) {
      request.raw(new byte[512]);
    }
    assertThat(reply(readOnly, request).error()).isEqualTo(EPERM);
    assertThat(readOnly.requests()).containsExactly("read 0+1");
  }

  @Test
  void x33BadRequestMagicEndsTheConnection() {
    try (EmbeddedServer server = serve(export)) {
      server.send(new ClientBytes().raw(new byte[28]).read(1, 0, 8));
      assertThat(server.isOpen()).isFalse();
      assertThat(server.received()).isEmpty();
    }
    assertThat(export.calls).containsExactly("closed orderly=false");
  }
}
