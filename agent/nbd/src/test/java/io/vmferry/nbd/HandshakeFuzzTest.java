// SPDX-License-Identifier: Apache-2.0
package io.vmferry.nbd;

import static org.assertj.core.api.Assertions.assertThat;

import io.vmferry.nbd.fuzz.ErrorLog;
import io.vmferry.nbd.fuzz.Fuzz;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/**
 * Nonsense from a client that connects: nothing is thrown, nothing is logged as error, no buffer is
 * lost, no memory is given away. 430 000 connections, the same in each run.
 */
class HandshakeFuzzTest {
  /** Bytes a connection may hold: one option, one unfinished write and what waits to be sent. */
  private static final long MAX_HELD_BYTES = 34 << 20;

  private static final List<byte[]> NEW_WAY =
      List.of(
          new ClientBytes().flags(3).toBytes(),
          new ClientBytes().structuredReplies().toBytes(),
          new ClientBytes().option(3).toBytes(),
          new ClientBytes().option(9, ClientBytes.metaContextQuery("disk")).toBytes(),
          new ClientBytes().setMetaContext("disk", "base:allocation", "base:").toBytes(),
          new ClientBytes().info("disk", 1, 3).toBytes(),
          new ClientBytes().go("disk", 3).toBytes(),
          new ClientBytes().read(1, 0, 100).toBytes(),
          new ClientBytes().write(2, 0, new byte[100]).toBytes(),
          new ClientBytes().request(0, 7, 3, 0, 4096).toBytes(),
          new ClientBytes().disc().toBytes());

  private static final List<byte[]> OLD_WAY =
      List.of(
          new ClientBytes().flags(1).toBytes(),
          new ClientBytes().option(5).toBytes(),
          new ClientBytes().option(11).toBytes(),
          new ClientBytes().go("nowhere").toBytes(),
          new ClientBytes().option(1, ClientBytes.utf8("disk")).toBytes(),
          new ClientBytes().read(1, 0, 100).toBytes());

  private static final List<byte[]> GIVEN_UP =
      List.of(
          new ClientBytes().flags(3).toBytes(),
          new ClientBytes().option(99, new byte[70]).toBytes(),
          new ClientBytes().option(2).toBytes());

  private final MemoryExport export = MemoryExport.writable(8192);
  private final ErrorLog errors = new ErrorLog("io.vmferry.nbd");

  @AfterEach
  void close() {
    errors.close();
  }

  private void survive(byte[]... pieces) {
    export.calls.clear();
    try (EmbeddedServer server = new EmbeddedServer(export)) {
      for (byte[] piece : pieces) {
        server.send(piece);
        assertThat(server.bufferedBytes()).isLessThan(MAX_HELD_BYTES);
      }
      server.received();
    }
    errors.requireNone();
  }

  @Test
  void wrongConversations() {
    new Fuzz(List.of(NEW_WAY, OLD_WAY, GIVEN_UP), this::survive).inputs(20261121, 300_000);
  }

  @Test
  void cve201914851OptionsAndRequestsInAnyOrder() {
    Random random = new Random(14851);
    List<byte[]> messages = new ArrayList<>(NEW_WAY);
    messages.addAll(OLD_WAY);
    messages.addAll(GIVEN_UP);
    for (int i = 0; i < 50_000; i++) {
      ClientBytes input = new ClientBytes().flags(3);
      for (int message = random.nextInt(10); message >= 0; message--) {
        input.raw(messages.get(random.nextInt(messages.size())));
      }
      survive(input.toBytes());
    }
  }

  @Test
  void optionsOfGarbage() {
    Random random = new Random(7820);
    for (int i = 0; i < 60_000; i++) {
      ClientBytes input = new ClientBytes().flags(random.nextInt(4));
      for (int option = random.nextInt(8); option >= 0; option--) {
        byte[] data = new byte[random.nextInt(40)];
        random.nextBytes(data);
        for (int at = 0; at < data.length && random.nextBoolean(); at++) {
          data[at] = (byte) random.nextInt(2);
        }
        input.option(random.nextInt(13), data);
      }
      survive(input.toBytes());
    }
  }

  @Test
  void pureGarbage() {
    Random random = new Random(4096);
    for (int i = 0; i < 20_000; i++) {
      byte[] input = new byte[random.nextInt(200)];
      random.nextBytes(input);
      survive(input);
    }
  }
}
