// SPDX-License-Identifier: Apache-2.0
package io.vmferry.nbd;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.UnpooledByteBufAllocator;
import org.junit.jupiter.api.Test;

/** X23: what a client may rely on in a BLOCK_STATUS reply. */
class ExtentListTest {
  private static final long MAX_REQUEST = 0xffff_ffffL;

  private static ExtentList list(long requestLength, int maxExtents) {
    return new ExtentList(UnpooledByteBufAllocator.DEFAULT, requestLength, maxExtents);
  }

  private static long[] encoded(ExtentList list) {
    ByteBuf encoded = list.take();
    long[] numbers = new long[encoded.readableBytes() / 4];
    for (int i = 0; i < numbers.length; i++) {
      numbers[i] = encoded.readUnsignedInt();
    }
    encoded.release();
    return numbers;
  }

  @Test
  void x23ExtentOfMoreThan32BitsIsCutAtTheRequest() {
    ExtentList list = list(MAX_REQUEST, 10);
    assertThat(list.add(1L << 40, true, false)).isFalse();
    assertThat(encoded(list)).containsExactly(MAX_REQUEST, 1);
  }

  @Test
  void neighboursOfTheSameStateAreJoined() {
    ExtentList list = list(MAX_REQUEST, 10);
    assertThat(list.add(1L << 31, false, true)).isTrue();
    assertThat(list.add(10, false, true)).isTrue();
    assertThat(list.add(1L << 31, false, false)).isFalse();
    assertThat(encoded(list)).containsExactly((1L << 31) + 10, 2, MAX_REQUEST - (1L << 31) - 10, 0);
  }

  @Test
  void x23ExtentsBehindTheRequestAreIgnored() {
    ExtentList list = list(100, 10);
    assertThat(list.add(100, false, false)).isFalse();
    assertThat(list.add(100, true, true)).isFalse();
    assertThat(encoded(list)).containsExactly(100, 0);
  }

  @Test
  void x23ExtentsAboveTheLimitAreIgnoredAlsoIfTheyWouldJoin() {
    ExtentList list = list(100, 1);
    assertThat(list.add(10, false, false)).isTrue();
    assertThat(list.add(10, true, true)).isFalse();
    assertThat(list.add(10, false, false)).isFalse();
    assertThat(encoded(list)).containsExactly(10, 0);
  }

  @Test
  void x23EmptyExtentIsAnError() {
    ExtentList list = list(100, 1);
    assertThatThrownBy(() -> list.add(0, false, false))
        .isInstanceOf(IllegalArgumentException.class);
    assertThat(list.isEmpty()).isTrue();
    list.take().release();
  }
}
