// SPDX-License-Identifier: Apache-2.0
package io.vmferry.nbd;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.Random;
import org.junit.jupiter.api.Test;

/**
 * Nonsense from a client: nothing is thrown, no buffer is lost, no memory is given away. Seeds are
 * fixed; the failing input's number is in the message.
 */
class HandshakeFuzzTest {
  /** Bytes a connection may hold: one option, one unfinished write and what waits to be sent. */
  private static final long MAX_HELD_BYTES = 34 << 20;

  private static final byte[] GOOD =
      new ClientBytes()
          .flags(3)
          .structuredReplies()
          .option(3)
          .option(9, ClientBytes.metaContextQuery("disk"))
          .setMetaContext("disk", "base:allocation", "base:")
          .info("disk", 1, 3)
          .go("disk", 3)
          .read(1, 0, 100)
          .write(2, 0, new byte[100])
          .request(0, 7, 3, 0, 4096)
          .request(0, 6, 4, 0, 4096)
          .disc()
          .toBytes();

  private final MemoryExport export = MemoryExport.writable(8192);

  private void survive(int number, byte[] input) {
    export.calls.clear();
    try (EmbeddedServer server = new EmbeddedServer(export)) {
      server.send(input);
      assertThat(server.bufferedBytes()).isLessThan(MAX_HELD_BYTES);
      server.received();
    } catch (RuntimeException | AssertionError e) {
      throw new AssertionError("input " + number, e);
    }
  }

  @Test
  void mutatedSessions() {
    Random random = new Random(20261121);
    for (int i = 0; i < 60_000; i++) {
      byte[] input = GOOD.clone();
      int changes = 1 + random.nextInt(6);
      for (int change = 0; change < changes; change++) {
        int at = random.nextInt(input.length);
        switch (random.nextInt(3)) {
          case 0 -> input[at] ^= (byte) (1 << random.nextInt(8));
          case 1 -> input[at] = (byte) random.nextInt();
          default -> input[at] = (byte) (random.nextBoolean() ? 0xff : 0);
        }
      }
      survive(i, input);
    }
  }

  @Test
  void optionsOfGarbage() {
    Random random = new Random(7820);
    for (int i = 0; i < 30_000; i++) {
      ClientBytes input = new ClientBytes().flags(random.nextInt(4));
      for (int option = random.nextInt(8); option >= 0; option--) {
        byte[] data = new byte[random.nextInt(40)];
        random.nextBytes(data);
        for (int at = 0; at < data.length && random.nextBoolean(); at++) {
          data[at] = (byte) random.nextInt(2);
        }
        input.option(random.nextInt(13), data);
      }
      survive(i, input.toBytes());
    }
  }

  @Test
  void pureGarbage() {
    Random random = new Random(4096);
    for (int i = 0; i < 10_000; i++) {
      byte[] input = new byte[random.nextInt(200)];
      random.nextBytes(input);
      survive(i, input);
    }
  }
}
