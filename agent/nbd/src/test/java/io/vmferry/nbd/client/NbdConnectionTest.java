// SPDX-License-Identifier: Apache-2.0
package io.vmferry.nbd.client;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.vmferry.nbd.client.EmbeddedClient.Answer;
import io.vmferry.nbd.client.NbdConnection.Extent;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Reads of a server that answers well, badly, or not at all. */
class NbdConnectionTest {
  private static final int DONE = 1;
  private static final int EIO = 5;

  private static byte[] bytes(int length, int first) {
    byte[] bytes = new byte[length];
    for (int i = 0; i < length; i++) {
      bytes[i] = (byte) (first + i);
    }
    return bytes;
  }

  private static Answer read(EmbeddedClient client, long offset, int length) {
    Answer answer = new Answer();
    client.connection.read(offset, length, answer);
    return answer;
  }

  /** The read of 8 bytes at 100, which is request 1, when the server says this. */
  private static Answer answer(ServerSays says) {
    try (EmbeddedClient client = EmbeddedClient.connected(1000)) {
      Answer answer = read(client, 100, 8);
      client.receive(says);
      client.sent();
      assertThat(answer.ends).isLessThanOrEqualTo(1);
      return answer;
    }
  }

  @Test
  void aReadIsOneRequest() {
    try (EmbeddedClient client = EmbeddedClient.connected(1000)) {
      read(client, 100, 8);
      assertThat(client.sent())
          .isEqualTo(
              new ServerSays()
                  .number(0x25609513)
                  .half(0)
                  .half(0)
                  .wide(1)
                  .wide(100)
                  .number(8)
                  .toBytes());
    }
  }

  @Test
  void oneChunk() {
    Answer answer = answer(new ServerSays().data(DONE, 1, 100, bytes(8, 1)));
    assertThat(answer.data).isEqualTo(bytes(8, 1));
    assertThat(answer.onWire).isEqualTo(8);
  }

  @Test
  void chunksAndHolesInAnyOrder() {
    Answer answer =
        answer(
            new ServerSays()
                .data(0, 1, 106, bytes(2, 9))
                .hole(0, 1, 102, 4)
                .data(0, 1, 100, bytes(2, 5))
                .chunk(DONE, 0, 1));
    assertThat(answer.data).containsExactly(5, 6, 0, 0, 0, 0, 9, 10);
    assertThat(answer.onWire).isEqualTo(4);
  }

  @Test
  void aSimpleReply() {
    try (EmbeddedClient client = EmbeddedClient.simple(1000)) {
      Answer first = read(client, 100, 8);
      Answer second = read(client, 0, 4);
      client.receive(new ServerSays().simple(0, 2, bytes(4, 1)).simple(EIO, 1));
      assertThat(second.data).isEqualTo(bytes(4, 1));
      assertThat(first.failure).isEqualTo("the server failed to read 8 bytes at 100: EIO");
      assertThat(client.channel.isOpen()).isTrue();
      client.sent();
    }
  }

  @Test
  void r11AnswersInAnyOrderAndCutAnywhere() {
    try (EmbeddedClient client = EmbeddedClient.connected(1000)) {
      Answer first = read(client, 0, 8);
      Answer second = read(client, 8, 8);
      byte[] says =
          new ServerSays()
              .data(0, 2, 12, bytes(4, 12))
              .data(DONE, 1, 0, bytes(8, 0))
              .data(DONE, 2, 8, bytes(4, 8))
              .toBytes();
      for (byte each : says) {
        client.receive(new byte[] {each});
      }
      assertThat(first.data).isEqualTo(bytes(8, 0));
      assertThat(second.data).isEqualTo(bytes(8, 8));
      client.sent();
    }
  }

  @Test
  void cve20220485r10AnErrorOfAnyPartFailsTheRead() {
    ServerSays[] all = {
      new ServerSays().error(DONE, 1, EIO, "bad sector"),
      new ServerSays().data(0, 1, 100, bytes(8, 1)).error(DONE, 1, EIO, "bad sector"),
      new ServerSays()
          .error(0, 1, EIO, "bad sector")
          .data(0, 1, 100, bytes(8, 1))
          .chunk(DONE, 0, 1),
      new ServerSays()
          .data(0, 1, 100, bytes(4, 1))
          .chunk(
              DONE,
              0x8002,
              1,
              new ServerSays().number(EIO).half(10).text("bad sector").wide(104).toBytes())
    };
    for (ServerSays each : all) {
      Answer answer = answer(each);
      assertThat(answer.data).isNull();
      assertThat(answer.failure)
          .isEqualTo("the server failed to read 8 bytes at 100: EIO (bad sector)");
    }
  }

  @Test
  void anErrorLeavesTheConnectionAlone() {
    try (EmbeddedClient client = EmbeddedClient.connected(1000)) {
      Answer bad = read(client, 100, 8);
      client.receive(new ServerSays().error(DONE, 1, 999, "strange"));
      assertThat(bad.failure).contains("error 999 (strange)");
      Answer good = read(client, 0, 4);
      client.receive(new ServerSays().data(DONE, 2, 0, bytes(4, 1)));
      assertThat(good.data).isEqualTo(bytes(4, 1));
      client.sent();
    }
  }

  static ServerSays[] broken() {
    return new ServerSays[] {
      new ServerSays().chunk(DONE, 0, 1),
      new ServerSays().data(DONE, 1, 100, bytes(7, 1)),
      new ServerSays().data(DONE, 1, 100, bytes(9, 1)),
      new ServerSays().data(DONE, 1, 99, bytes(8, 1)),
      new ServerSays().data(DONE, 1, -1, bytes(8, 1)),
      new ServerSays().data(DONE, 1, 101, bytes(8, 1)),
      new ServerSays().data(0, 1, 100, bytes(4, 1)).data(0, 1, 103, bytes(4, 1)),
      new ServerSays().data(0, 1, 100, bytes(8, 1)).hole(DONE, 1, 100, 1),
      new ServerSays().hole(DONE, 1, 100, 9),
      new ServerSays().hole(DONE, 1, 100, 0),
      new ServerSays().hole(DONE, 1, 100, -8),
      new ServerSays().chunk(DONE, 2, 1, new byte[11]),
      new ServerSays().chunk(0, 0, 1),
      new ServerSays().chunk(DONE, 0, 1, new byte[1]),
      new ServerSays().chunk(DONE, 3, 1, new byte[8]),
      new ServerSays().chunk(3, 0, 1),
      new ServerSays().extents(1, 8, 0),
      new ServerSays().data(DONE, 2, 100, bytes(8, 1)),
      new ServerSays().simple(0, 1, bytes(8, 1)),
      new ServerSays().simple(EIO, 1),
      new ServerSays().error(DONE, 1, 0, "none"),
      new ServerSays().chunk(DONE, 0x8001, 1, new byte[5]),
      new ServerSays().chunk(DONE, 0x8001, 1, new ServerSays().number(5).half(4).toBytes()),
      new ServerSays()
          .chunk(DONE, 0x8002, 1, new ServerSays().number(5).half(0).wide(108).toBytes()),
      new ServerSays().number(0x12345678).raw(new byte[20])
    };
  }

  @ParameterizedTest
  @MethodSource("broken")
  void cve202120286WhatBreaksTheProtocolEndsTheConnectionOnly(ServerSays says) {
    try (EmbeddedClient client = EmbeddedClient.connected(1000)) {
      Answer answer = read(client, 100, 8);
      client.receive(says);
      assertThat(answer.data).isNull();
      assertThat(answer.failure).isNotNull();
      assertThat(answer.ends).isEqualTo(1);
      assertThat(client.channel.isOpen()).isFalse();
      assertThat(client.closedWith).hasSize(1);
      client.sent();
    }
  }

  @Test
  void aClaimedLengthTakesNoMemory() {
    try (EmbeddedClient client = EmbeddedClient.connected(1L << 40)) {
      read(client, 0, 1 << 20);
      long before = client.bufferedBytes();
      client.receive(new ServerSays().number(0x668e33ef).half(0).half(1).wide(1).number(-1));
      assertThat(client.bufferedBytes()).isLessThanOrEqualTo(before);
      assertThat(client.channel.isOpen()).isFalse();
      client.sent();
    }
  }

  @Test
  void aLostConnectionFailsAllThatIsUnderWayOnce() {
    try (EmbeddedClient client = EmbeddedClient.connected(1000)) {
      Answer first = read(client, 0, 8);
      Answer second = read(client, 8, 8);
      client.receive(new ServerSays().data(0, 1, 0, bytes(4, 0)));
      var unused = client.channel.close();
      assertThat(first.failure).isEqualTo("the server closed the connection");
      assertThat(second.ends).isEqualTo(1);
      assertThat(client.closedWith).containsExactly("the server closed the connection");
      assertThat(read(client, 0, 8).failure).isEqualTo("the server closed the connection");
      client.sent();
    }
  }

  @Test
  void closingSaysGoodbye() {
    try (EmbeddedClient client = EmbeddedClient.connected(1000)) {
      Answer answer = read(client, 0, 8);
      client.sent();
      client.connection.close();
      client.connection.close();
      assertThat(client.sent())
          .isEqualTo(
              new ServerSays()
                  .number(0x25609513)
                  .half(0)
                  .half(2)
                  .wide(0)
                  .wide(0)
                  .number(0)
                  .toBytes());
      assertThat(answer.ends).isEqualTo(1);
      assertThat(client.channel.isOpen()).isFalse();
    }
  }

  @Test
  void extentsAreTold() {
    try (EmbeddedClient client = EmbeddedClient.connected(10_000)) {
      Answer answer = new Answer();
      client.connection.extents(0, 8192, answer);
      client.receive(new ServerSays().extents(1, 4096, 3, 5000, 1));
      assertThat(answer.extents)
          .containsExactly(new Extent(4096, true, true), new Extent(5000, true, false));
      client.sent();
    }
  }

  @Test
  void extentsThatCanNotBeAreRefused() {
    ServerSays[] all = {
      new ServerSays().extents(1),
      new ServerSays().extents(1, 0, 0),
      new ServerSays().extents(1, 8192, 0, 1, 0),
      new ServerSays().extents(1, 4096, 0, 6000, 0),
      new ServerSays().extents(1, 4096),
      new ServerSays().chunk(DONE, 5, 1, new ServerSays().number(2).wide(4096).toBytes()),
      new ServerSays().chunk(DONE, 0, 1),
      new ServerSays().simple(0, 1)
    };
    for (ServerSays each : all) {
      try (EmbeddedClient client = EmbeddedClient.connected(10_000)) {
        Answer answer = new Answer();
        client.connection.extents(0, 8192, answer);
        client.receive(each);
        assertThat(answer.extents).isNull();
        assertThat(answer.ends).isEqualTo(1);
        assertThat(client.channel.isOpen()).isFalse();
        client.sent();
      }
    }
  }

  @Test
  void r12WhatIsNotAlignedIsNeverAsked() {
    try (EmbeddedClient client = new EmbeddedClient()) {
      client.receive(
          new ServerSays()
              .greeting(3)
              .ack(8)
              .context(1)
              .ack(10)
              .export(8192, 1)
              .blockSizes(4096, 4096, 65536)
              .ack(7));
      for (long[] range : new long[][] {{0, 512}, {512, 4096}, {8192, 4096}, {-4096, 4096}}) {
        assertThatThrownBy(() -> client.connection.read(range[0], (int) range[1], new Answer()))
            .isInstanceOf(IllegalArgumentException.class);
      }
      client.sent();
    }
  }
}
