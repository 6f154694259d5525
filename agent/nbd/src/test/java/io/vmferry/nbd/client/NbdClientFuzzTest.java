// SPDX-License-Identifier: Apache-2.0
package io.vmferry.nbd.client;

import static org.assertj.core.api.Assertions.assertThat;

import io.vmferry.nbd.client.EmbeddedClient.Answer;
import io.vmferry.nbd.fuzz.ErrorLog;
import io.vmferry.nbd.fuzz.Fuzz;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/**
 * Nonsense from a server: nothing is thrown or logged as error, no buffer is lost, no memory is
 * given away, each request ends once, and none ends well that lacks a part. 150 000 connections,
 * the same in each run.
 */
class NbdClientFuzzTest {
  private static final int LENGTH = 64;

  /** Bytes a connection may hold: three reads, and a chunk that isn't complete. */
  private static final long MAX_HELD_BYTES = 64 << 10;

  private static final List<byte[]> HANDSHAKE =
      List.of(
          new ServerSays().greeting(3).toBytes(),
          new ServerSays().ack(8).toBytes(),
          new ServerSays().context(1).toBytes(),
          new ServerSays().ack(10).toBytes(),
          new ServerSays().export(8192, 1).toBytes(),
          new ServerSays().blockSizes(1, 4096, 1 << 20).toBytes(),
          new ServerSays().ack(7).toBytes());

  private static final List<byte[]> ANSWERS =
      List.of(
          new ServerSays().data(1, 1, 0, new byte[LENGTH]).toBytes(),
          new ServerSays().hole(0, 2, 32, 32).toBytes(),
          new ServerSays().data(0, 2, 0, new byte[32]).toBytes(),
          new ServerSays().chunk(1, 0, 2).toBytes(),
          new ServerSays().error(1, 3, 5, "no").toBytes(),
          new ServerSays().extents(4, 4096, 3, 4096, 0).toBytes());

  private final ErrorLog errors = new ErrorLog("io.vmferry.nbd");

  @AfterEach
  void close() {
    errors.close();
  }

  private static void feed(EmbeddedClient client, byte[][] pieces) {
    for (byte[] piece : pieces) {
      client.receive(piece);
      assertThat(client.bufferedBytes()).isLessThan(MAX_HELD_BYTES);
    }
    client.sent();
  }

  @Test
  void wrongHandshakes() {
    new Fuzz(
            List.of(HANDSHAKE),
            pieces -> {
              EmbeddedClient client = new EmbeddedClient();
              feed(client, pieces);
              client.close();
              errors.requireNone();
              assertThat(client.outcomes()).isEqualTo(1);
              if (client.connection != null) {
                assertThat(client.connection.export().size()).isPositive();
                assertThat(
                        client.connection.export().size() % client.connection.export().minBlock())
                    .isZero();
              }
            })
        .inputs(10_000_000, 75_000);
  }

  @Test
  void cve202120286cve20220485WrongAnswers() {
    new Fuzz(
            List.of(ANSWERS),
            pieces -> {
              EmbeddedClient client = EmbeddedClient.connected(8192);
              List<Answer> answers = new ArrayList<>();
              for (int i = 0; i < 4; i++) {
                answers.add(new Answer());
              }
              for (int i = 0; i < 3; i++) {
                client.connection.read(0, LENGTH, answers.get(i));
              }
              client.connection.extents(0, 8192, answers.get(3));
              feed(client, pieces);
              client.close();
              errors.requireNone();
              for (Answer answer : answers) {
                assertThat(answer.ends).isEqualTo(1);
                assertThat(answer.data == null || answer.data.length == LENGTH).isTrue();
                assertThat(answer.extents == null || !answer.extents.isEmpty()).isTrue();
              }
            })
        .inputs(12_000_000, 75_000);
  }
}
