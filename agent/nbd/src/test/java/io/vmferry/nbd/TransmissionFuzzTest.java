// SPDX-License-Identifier: Apache-2.0
package io.vmferry.nbd;

import static org.assertj.core.api.Assertions.assertThat;

import io.vmferry.nbd.ServerBytes.Reply;
import io.vmferry.nbd.fuzz.ErrorLog;
import io.vmferry.nbd.fuzz.Fuzz;
import java.io.ByteArrayInputStream;
import java.nio.ByteBuffer;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/**
 * Nonsense from a client in transmission: nothing is thrown, nothing is logged as error, no buffer
 * is lost, no memory is given away, and whatever is answered is well-formed. 250 000 connections,
 * the same in each run.
 */
class TransmissionFuzzTest {
  /** Bytes a connection may hold: requests in flight, one unfinished write, unsent replies. */
  private static final long MAX_HELD_BYTES = (64 + 32 + 9) << 20;

  private static final List<byte[]> READS =
      List.of(
          new ClientBytes().read(1, 0, 100).toBytes(),
          new ClientBytes().request(4, 0, 2, 4096, 512).toBytes(),
          new ClientBytes().request(0, 7, 3, 0, 8192).toBytes(),
          new ClientBytes().request(8, 7, 4, 4096, 100).toBytes(),
          new ClientBytes().request(0, 5, 5, 0, 8192).toBytes());

  private static final List<byte[]> WRITES =
      List.of(
          new ClientBytes().write(1, 0, new byte[100]).toBytes(),
          new ClientBytes().request(1, 1, 2, 8000, 192).raw(new byte[192]).toBytes(),
          new ClientBytes().request(1, 4, 3, 0, 4096).toBytes(),
          new ClientBytes().request(16, 6, 4, 0, 4096).toBytes(),
          new ClientBytes().request(2, 6, 5, 4096, 4096).toBytes(),
          new ClientBytes().request(0, 3, 6, 0, 0).toBytes(),
          new ClientBytes().disc().toBytes());

  private final MemoryExport export = MemoryExport.writable(8192);
  private final ErrorLog errors = new ErrorLog("io.vmferry.nbd");

  @AfterEach
  void close() {
    errors.close();
  }

  private void survive(byte[][] pieces) {
    try (EmbeddedServer server = EmbeddedServer.transmitting(export, true)) {
      for (byte[] piece : pieces) {
        server.send(piece);
        assertThat(server.bufferedBytes()).isLessThan(MAX_HELD_BYTES);
      }
      ByteBuffer replies = ByteBuffer.wrap(server.received());
      ServerBytes received = new ServerBytes(new ByteArrayInputStream(replies.array()));
      for (int left = replies.remaining(); left > 0; ) {
        left -= requireWellFormed(received.reply());
      }
    }
    errors.requireNone();
  }

  /** Returns how many bytes the reply has. */
  private static int requireWellFormed(Reply reply) {
    if (!reply.structured()) {
      return 16;
    }
    ByteBuffer data = reply.data();
    assertThat(reply.flags()).isEqualTo(1);
    switch (reply.type()) {
      case 1 -> assertThat(data.remaining()).isBetween(9, 8 + 8192);
      case 5 -> {
        assertThat(data.remaining()).isBetween(12, 4 + 8 * 8192);
        assertThat(data.remaining() % 8).isEqualTo(4);
      }
      case 0x8001 -> assertThat((int) data.getShort(4)).isEqualTo(data.remaining() - 6);
      default -> throw new AssertionError("a chunk of type " + reply.type());
    }
    return 20 + data.remaining();
  }

  @Test
  void wrongRequests() {
    new Fuzz(List.of(READS, WRITES), this::survive).inputs(4096, 250_000);
  }
}
