// SPDX-License-Identifier: Apache-2.0
package io.vmferry.nbd;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.vmferry.nbd.ServerBytes.Reply;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** The form of replies: simple ones, chunks, errors and extents. */
class TransmissionReplyTest extends TransmissionFixture {
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
}
