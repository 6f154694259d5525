// SPDX-License-Identifier: Apache-2.0
package io.vmferry.nbd;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.vmferry.nbd.ServerBytes.Reply;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Requests, their verdicts and their replies. */
class TransmissionTest {
  private static final int EPERM = 1;
  private static final int EIO = 5;
  private static final int EINVAL = 22;
  private static final int ENOSPC = 28;
  private static final int ENOTSUP = 95;
  private static final int ESHUTDOWN = 108;

  private static final int READ = 0;
  private static final int WRITE = 1;
  private static final int FLUSH = 3;
  private static final int TRIM = 4;
  private static final int CACHE = 5;
  private static final int WRITE_ZEROES = 6;
  private static final int BLOCK_STATUS = 7;

  private static final int SIZE = 64 << 10;

  private final MemoryExport export = MemoryExport.writable(SIZE);

  private static EmbeddedServer serve(MemoryExport export) {
    return EmbeddedServer.transmitting(export, true);
  }

  /** The reply to one request, after which the connection must still work. */
  private Reply reply(MemoryExport served, ClientBytes request) {
    try (EmbeddedServer server = serve(served)) {
      server.send(request);
      Reply reply = server.replies().reply();
      server.send(new ClientBytes().read(-7, 0, 1));
      assertThat(server.replies().reply().cookie()).isEqualTo(-7);
      return reply;
    }
  }

  private Reply reply(ClientBytes request) {
    return reply(export, request);
  }

  private int error(int flags, int type, long offset, int length) {
    ClientBytes request = new ClientBytes().request(flags, type, 1, offset, length);
    if (type == WRITE) {
      request.raw(new byte[length]);
    }
    return reply(request).error();
  }

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
  void x16x19WithoutNegotiationRepliesAreSimple() {
    try (EmbeddedServer server = EmbeddedServer.transmitting(export, false)) {
      server.send(new ClientBytes().read(1, 512, 16).read(2, SIZE, 1).request(4, READ, 3, 0, 8));
      ServerBytes replies = server.replies();
      Reply data = replies.reply(16);
      assertThat(data.structured()).isFalse();
      assertThat(data.data()).isEqualTo(ByteBuffer.wrap(export.data, 512, 16));
      assertThat(replies.reply()).extracting("structured", "error").contains(false, EINVAL);
      // X19: DF belongs to structured replies.
      assertThat(replies.reply()).extracting("structured", "error").contains(false, EINVAL);
    }
  }

  @Test
  void x17x18x19ReadIsOneDataChunk() {
    Reply reply = reply(new ClientBytes().read(9, 100, 1000));
    assertThat(reply.structured()).isTrue();
    assertThat(reply.flags()).isEqualTo(1);
    assertThat(reply.type()).isEqualTo(1);
    assertThat(reply.data().getLong()).isEqualTo(100);
    assertThat(reply.data()).isEqualTo(ByteBuffer.wrap(export.data, 100, 1000));
  }

  @Test
  void x19DontFragmentIsAlwaysObeyed() {
    Reply reply = reply(new ClientBytes().request(4, READ, 9, 0, SIZE));
    assertThat(reply.data().remaining()).isEqualTo(8 + SIZE);
  }

  @Test
  void x20ErrorChunkCarriesNumberAndText() {
    Reply reply = reply(new ClientBytes().read(9, SIZE, 1));
    assertThat(reply.flags()).isEqualTo(1);
    assertThat(reply.type()).isEqualTo(0x8001);
    assertThat(reply.data().getInt()).isEqualTo(EINVAL);
    assertThat(reply.data().getShort()).isEqualTo((short) reply.data().remaining());
    assertThat(StandardCharsets.UTF_8.decode(reply.data()).toString())
        .isEqualTo("the range ends behind the export");
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void x21ReadThatFailsHalfWaySendsNothingOfItsData(boolean structured) {
    export.holding = true;
    try (EmbeddedServer server = EmbeddedServer.transmitting(export, structured)) {
      server.send(new ClientBytes().read(1, 0, 4096));
      export.lastRead.buffer().writeZero(1000);
      export.lastRead.fail(NbdError.EIO, "the disk failed half-way");
      ServerBytes replies = server.replies();
      assertThat(replies.reply()).extracting("cookie", "error").contains(1L, EIO);
      assertThat(replies.atEnd()).isTrue();
      assertThat(server.isOpen()).isTrue();
    }
  }

  @Test
  void x20cve202010761LongTextIsCutToTheLimit() {
    export.holding = true;
    try (EmbeddedServer server = serve(export)) {
      server.send(new ClientBytes().read(1, 0, 8));
      export.lastRead.fail(NbdError.EIO, "x".repeat(5000));
      ByteBuffer chunk = server.replies().reply().data();
      assertThat(chunk.remaining()).isEqualTo(4 + 2 + 4096);
      assertThat(chunk.getShort(4)).isEqualTo((short) 4096);
    }
  }

  @Test
  void x22BlockStatusWithoutContextIsInvalid() {
    try (EmbeddedServer server = EmbeddedServer.transmitting(export, false)) {
      server.send(new ClientBytes().request(0, BLOCK_STATUS, 1, 0, 4096));
      assertThat(server.replies().reply().error()).isEqualTo(EINVAL);
    }
  }

  @Test
  void x23BlockStatusCoversTheRequest() {
    Reply reply = reply(new ClientBytes().request(0, BLOCK_STATUS, 1, 100, 9000));
    assertThat(reply.type()).isEqualTo(5);
    assertThat(reply.flags()).isEqualTo(1);
    ByteBuffer data = reply.data();
    int[] found = new int[data.remaining() / 4];
    data.asIntBuffer().get(found);
    assertThat(found).containsExactly(1, 3996, 0, 4096, 3, 908, 0);
  }

  @Test
  void x23ReqOneIsOneExtent() {
    Reply reply = reply(new ClientBytes().request(8, BLOCK_STATUS, 1, 4096, 9000));
    ByteBuffer data = reply.data();
    assertThat(data.remaining()).isEqualTo(12);
    assertThat(data.getInt(4)).isEqualTo(4096);
    assertThat(data.getInt(8)).isEqualTo(3);
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
  void x28OnlyTheErrorsOfTheProtocolExist() {
    assertThat(NbdError.values())
        .extracting(NbdError::code)
        .containsExactlyInAnyOrder(1, 5, 12, 22, 28, 75, 95, 108);
    export.failure = NbdError.EOVERFLOW;
    assertThat(error(0, READ, 0, 100)).isEqualTo(EIO);
  }

  @Test
  void x28SessionErrorsReachTheClient() {
    export.failure = NbdError.ENOSPC;
    Reply reply = reply(new ClientBytes().write(1, 0, new byte[512]));
    assertThat(reply.error()).isEqualTo(ENOSPC);
    assertThat(StandardCharsets.UTF_8.decode(reply.data()).toString())
        .endsWith("the test wants it");
    assertThat(reply(new ClientBytes().read(1, 0, 512)).error()).isEqualTo(ENOSPC);
    assertThat(reply(new ClientBytes().request(0, BLOCK_STATUS, 1, 0, 512)).error())
        .isEqualTo(ENOSPC);
  }

  @ParameterizedTest
  @ValueSource(ints = {READ, WRITE, FLUSH, BLOCK_STATUS})
  void sessionThatThrowsIsAnsweredWithEio(int type) {
    export.bug = new IllegalStateException("a bug");
    assertThat(error(0, type, 0, type == FLUSH ? 0 : 512)).isEqualTo(EIO);
  }

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
  void x33BadRequestMagicEndsTheConnection() {
    try (EmbeddedServer server = serve(export)) {
      server.send(new ClientBytes().raw(new byte[28]).read(1, 0, 8));
      assertThat(server.isOpen()).isFalse();
      assertThat(server.received()).isEmpty();
    }
    assertThat(export.calls).containsExactly("closed orderly=false");
  }

  @Test
  void secondCompletionThrows() {
    try (EmbeddedServer server = serve(export)) {
      server.send(new ClientBytes().read(1, 0, 8));
      server.received();
      NbdSession.ReadReply reply = export.lastRead;
      assertThatThrownBy(reply::success)
          .isInstanceOf(IllegalStateException.class)
          .hasMessage("READ was already answered");
      assertThatThrownBy(() -> reply.fail(NbdError.EIO, "late"))
          .isInstanceOf(IllegalStateException.class);
      assertThatThrownBy(reply::buffer).isInstanceOf(IllegalStateException.class);
      assertThat(server.received()).isEmpty();
    }
  }

  @Test
  void x21ShortReadIsNotASuccess() {
    export.holding = true;
    try (EmbeddedServer server = serve(export)) {
      server.send(new ClientBytes().read(1, 0, 8));
      export.lastRead.buffer().writeInt(0);
      assertThatThrownBy(() -> export.lastRead.success())
          .hasMessage("READ succeeded with 4 bytes missing");
      export.lastRead.fail(NbdError.EIO, "short");
      assertThat(server.replies().reply().error()).isEqualTo(EIO);
    }
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
