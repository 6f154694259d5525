// SPDX-License-Identifier: Apache-2.0
package io.vmferry.nbd.client;

import static org.assertj.core.api.Assertions.assertThat;

import io.netty.handler.ssl.SslContextBuilder;
import io.netty.handler.ssl.SslHandler;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.TimeUnit;
import java.util.function.Supplier;
import javax.net.ssl.SSLException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** What the client says to a server and what it takes from one. */
class NbdNegotiationTest {
  private static final int STARTTLS = 5;
  private static final int GO = 7;
  private static final int STRUCTURED_REPLY = 8;
  private static final int META_CONTEXT = 10;

  /** Why the server that says this is refused; what was sent must be without a request. */
  private static String refusal(ServerSays says) {
    try (EmbeddedClient client = new EmbeddedClient()) {
      client.receive(says);
      assertThat(client.connection).isNull();
      assertThat(client.channel.isOpen()).isFalse();
      assertThat(client.outcomes()).isEqualTo(1);
      client.sent();
      return client.failure;
    }
  }

  private static ServerExport export(ServerSays says) {
    try (EmbeddedClient client = new EmbeddedClient()) {
      client.receive(says);
      assertThat(client.failure).isNull();
      client.sent();
      return client.connection.export();
    }
  }

  private static Supplier<SslHandler> tls(EmbeddedClient[] client) {
    return () -> {
      try {
        return SslContextBuilder.forClient().build().newHandler(client[0].channel.alloc());
      } catch (SSLException e) {
        throw new IllegalStateException(e);
      }
    };
  }

  @Test
  void asksForAllThatHelpsThenGoes() {
    try (EmbeddedClient client = new EmbeddedClient()) {
      assertThat(client.sent()).isEmpty();
      client.receive(new ServerSays().greeting(3));
      assertThat(client.sent())
          .isEqualTo(new ServerSays().number(3).text("IHAVEOPT").number(8).number(0).toBytes());
      client.receive(new ServerSays().ack(STRUCTURED_REPLY));
      assertThat(new String(client.sent(), StandardCharsets.UTF_8)).contains("base:allocation");
      client.receive(new ServerSays().context(9).ack(META_CONTEXT));
      assertThat(client.sent())
          .isEqualTo(
              new ServerSays()
                  .text("IHAVEOPT")
                  .number(GO)
                  .number(12)
                  .number(4)
                  .text("disk")
                  .half(1)
                  .half(3)
                  .toBytes());
      client.receive(
          new ServerSays().export(8192, 1 | 1 << 8).blockSizes(512, 4096, 65536).ack(GO));
      assertThat(client.connection.export())
          .isEqualTo(new ServerExport(8192, true, 512, 65536, true, 9));
    }
  }

  @Test
  void doesWithoutWhatAServerLacks() {
    ServerSays old =
        new ServerSays()
            .greeting(1)
            .refuse(STRUCTURED_REPLY, ServerSays.ERR_UNSUP, "no")
            .export(8193, 3)
            .ack(GO);
    assertThat(export(old)).isEqualTo(new ServerExport(8193, false, 1, 32 << 20, false, null));
    ServerSays withoutContext =
        new ServerSays().greeting(3).ack(8).ack(META_CONTEXT).export(1, 1).ack(GO);
    assertThat(export(withoutContext).allocation()).isNull();
    ServerSays withoutContexts =
        new ServerSays()
            .greeting(3)
            .ack(8)
            .refuse(META_CONTEXT, ServerSays.ERR_UNSUP, "")
            .export(1, 1)
            .ack(GO);
    assertThat(export(withoutContexts).allocation()).isNull();
  }

  @Test
  void informationThatWasNotAskedForIsIgnored() {
    ServerSays says =
        new ServerSays()
            .greeting(3)
            .ack(8)
            .ack(META_CONTEXT)
            .reply(GO, 3, new ServerSays().half(1).text("disk").toBytes())
            .export(4096, 1)
            .ack(GO);
    assertThat(export(says).size()).isEqualTo(4096);
  }

  @Test
  void bytesMayComeOneByOne() {
    try (EmbeddedClient client = new EmbeddedClient()) {
      for (byte each : new ServerSays().welcome(4096).toBytes()) {
        client.receive(new byte[] {each});
      }
      assertThat(client.connection.export().size()).isEqualTo(4096);
      client.sent();
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {0, 2})
  void cve201914842ServerWithoutFixedNewstyleIsRefused(int flags) {
    assertThat(refusal(new ServerSays().greeting(flags))).contains("fixed newstyle");
  }

  @ParameterizedTest
  @ValueSource(ints = {0x80000001, 0x80000002, 0x80000003, 0x80000004, 0x80000006, 0x80000fff})
  void cve201914842ServerThatRefusesTlsIsRefused(int error) {
    EmbeddedClient[] it = new EmbeddedClient[1];
    try (EmbeddedClient client = new EmbeddedClient("nbds://server/disk", tls(it))) {
      it[0] = client;
      client.receive(new ServerSays().greeting(3));
      client.sent();
      client.receive(new ServerSays().refuse(STARTTLS, error, "later"));
      assertThat(client.failure).contains("it refuses TLS");
      assertThat(client.sent()).as("nothing in clear").isEmpty();
      assertThat(client.channel.isOpen()).isFalse();
    }
  }

  @Test
  void cve201914842ServerWithoutFixedNewstyleIsNotAskedForTheExportBeforeTls() {
    EmbeddedClient[] it = new EmbeddedClient[1];
    try (EmbeddedClient client = new EmbeddedClient("nbds://server/disk", tls(it))) {
      it[0] = client;
      client.receive(new ServerSays().greeting(2));
      assertThat(client.failure).contains("fixed newstyle");
      assertThat(client.sent()).isEmpty();
    }
  }

  @Test
  void cve20213716WhatComesInClearBehindTheAgreementIsRefused() {
    EmbeddedClient[] it = new EmbeddedClient[1];
    try (EmbeddedClient client = new EmbeddedClient("nbds://server/disk", tls(it))) {
      it[0] = client;
      client.receive(new ServerSays().greeting(3));
      client.receive(new ServerSays().ack(STARTTLS).ack(STRUCTURED_REPLY));
      assertThat(client.failure).contains("in clear after it had agreed to TLS");
      client.sent();
    }
  }

  @Test
  void cve20213716AnswersInClearInsteadOfTlsAreRefused() {
    EmbeddedClient[] it = new EmbeddedClient[1];
    try (EmbeddedClient client = new EmbeddedClient("nbds://server/disk", tls(it))) {
      it[0] = client;
      client.receive(new ServerSays().greeting(3));
      client.receive(new ServerSays().ack(STARTTLS));
      client.sent();
      client.receive(new ServerSays().ack(STRUCTURED_REPLY).ack(META_CONTEXT).ack(GO));
      assertThat(client.failure).contains("TLS: ");
      assertThat(client.connection).isNull();
      client.sent();
    }
  }

  @Test
  void saysWhatIsWrongWithTheServer() {
    assertThat(refusal(new ServerSays().text("SSH-2.0-OpenSSH_9.2p1")))
        .isEqualTo("NBD server server:10809: what answers there is no NBD server");
    assertThat(refusal(new ServerSays().text("NBDMAGIC").wide(0x420281861253L).half(3)))
        .contains("old protocol");
    ServerSays start = new ServerSays().greeting(3).ack(8).ack(META_CONTEXT);
    assertThat(refusal(start.refuse(GO, ServerSays.ERR_UNKNOWN, "no such disk")))
        .endsWith("it has no export 'disk': ERR_UNKNOWN (no such disk)");
    assertThat(refusal(new ServerSays().greeting(3).refuse(8, ServerSays.ERR_TLS_REQD, "")))
        .contains("nbds://", "--tls-ca");
  }

  @ParameterizedTest
  @CsvSource({
    "0, 512, 1024",
    "3, 512, 1024",
    "131072, 131072, 1048576",
    "-2147483648, 512, 1024",
    "512, 500, 1024",
    "4096, 512, 8192",
    "512, 4096, 2048"
  })
  void illegalBlockSizesAreRefused(int min, int preferred, int max) {
    ServerSays says = new ServerSays().greeting(3).ack(8).ack(META_CONTEXT).export(1 << 20, 1);
    assertThat(refusal(says.blockSizes(min, preferred, max).ack(GO)))
        .contains("block sizes that the protocol doesn't allow");
  }

  @Test
  void aSizeThatIsNoMultipleOfTheSmallestBlockIsRefused() {
    ServerSays says = new ServerSays().greeting(3).ack(8).ack(META_CONTEXT).export(4097, 1);
    assertThat(refusal(says.blockSizes(512, 4096, 1 << 20).ack(GO))).contains("not a multiple");
  }

  @Test
  void whatBreaksTheProtocolIsRefused() {
    ServerSays[] broken = {
      new ServerSays().greeting(3).ack(7),
      new ServerSays().greeting(3).reply(8, 1, new byte[1]),
      new ServerSays().greeting(3).reply(8, 3, new byte[12]),
      new ServerSays().greeting(3).number(1).wide(2).wide(3),
      new ServerSays().greeting(3).wide(0x3e889045565a9L).number(8).number(1).number(-1),
      new ServerSays().greeting(3).ack(8).context(1).context(2),
      new ServerSays().greeting(3).ack(8).reply(META_CONTEXT, 4, new byte[3]),
      new ServerSays().greeting(3).ack(8).ack(10).ack(7),
      new ServerSays().greeting(3).ack(8).ack(10).export(0, 1).ack(7),
      new ServerSays().greeting(3).ack(8).ack(10).export(-1, 1).ack(7),
      new ServerSays().greeting(3).ack(8).ack(10).export(4096, 0).ack(7),
      new ServerSays().greeting(3).ack(8).ack(10).export(4096, 1).export(4096, 1),
      new ServerSays().greeting(3).ack(8).ack(10).reply(7, 3, new byte[11]),
      new ServerSays().greeting(3).ack(8).ack(10).reply(7, 3, new byte[1]),
      new ServerSays().greeting(3).refuse(8, 0x80000009, "too big")
    };
    for (ServerSays each : broken) {
      assertThat(refusal(each)).startsWith("NBD server server:10809: ");
    }
  }

  @Test
  void aServerThatNeverComesToAnEndIsRefused() {
    ServerSays says = new ServerSays().greeting(3).ack(8).ack(META_CONTEXT).export(4096, 1);
    for (int i = 0; i < 100; i++) {
      says.reply(GO, 3, new ServerSays().half(2).toBytes());
    }
    assertThat(refusal(says)).contains("doesn't come to an end");
  }

  @Test
  void aSilentServerIsGivenUp() {
    try (EmbeddedClient client = new EmbeddedClient()) {
      client.channel.freezeTime();
      client.channel.advanceTimeBy(25, TimeUnit.SECONDS);
      client.channel.runScheduledPendingTasks();
      assertThat(client.failure).contains("12 seconds");
      assertThat(client.channel.isOpen()).isFalse();
    }
  }

  @Test
  void aServerThatLeavesIsNamed() {
    try (EmbeddedClient client = new EmbeddedClient()) {
      client.receive(new ServerSays().greeting(3));
      var unused = client.channel.close();
      assertThat(client.failure).contains("closed the connection during the handshake");
      client.sent();
    }
  }
}
