// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.peer;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.Unpooled;
import java.nio.charset.StandardCharsets;
import org.junit.jupiter.api.Test;

class Crc32cTest {
  /** The check value that catalogues of CRCs give for CRC-32C. */
  private static final int CHECK = 0xe3069283;

  private static final byte[] CHECK_INPUT = "123456789".getBytes(StandardCharsets.US_ASCII);

  @Test
  void knownValueOfADirectBuffer() {
    ByteBuf data = Unpooled.directBuffer().writeBytes(CHECK_INPUT);
    assertThat(Crc32c.of(data)).isEqualTo(CHECK);
    data.release();
  }

  @Test
  void knownValueOfAHeapBuffer() {
    assertThat(Crc32c.of(Unpooled.wrappedBuffer(CHECK_INPUT))).isEqualTo(CHECK);
  }

  @Test
  void knownValueOfACompositeBuffer() {
    ByteBuf parts =
        Unpooled.wrappedBuffer(
            Unpooled.copiedBuffer(CHECK_INPUT, 0, 4), Unpooled.copiedBuffer(CHECK_INPUT, 4, 5));
    assertThat(parts.nioBufferCount()).isEqualTo(2);
    assertThat(Crc32c.of(parts)).isEqualTo(CHECK);
  }

  @Test
  void onlyTheReadablePartCountsAndIndexesStay() {
    ByteBuf data = Unpooled.buffer().writeByte(0).writeBytes(CHECK_INPUT).skipBytes(1);
    assertThat(Crc32c.of(data)).isEqualTo(CHECK);
    assertThat(data.readerIndex()).isEqualTo(1);
    assertThat(data.readableBytes()).isEqualTo(CHECK_INPUT.length);
  }

  @Test
  void rangeOutsideTheBufferIsRefused() {
    ByteBuf data = Unpooled.wrappedBuffer(CHECK_INPUT);
    assertThatThrownBy(() -> Crc32c.of(data, 5, 5)).isInstanceOf(IndexOutOfBoundsException.class);
  }

  @Test
  void nothingHasChecksumZero() {
    assertThat(Crc32c.of(Unpooled.EMPTY_BUFFER)).isZero();
  }
}
