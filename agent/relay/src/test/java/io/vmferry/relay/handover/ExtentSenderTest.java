// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.handover;

import static org.assertj.core.api.Assertions.assertThat;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.Unpooled;
import io.vmferry.relay.copy.Compression;
import io.vmferry.relay.map.BlockGrid;
import io.vmferry.relay.peer.Crc32c;
import io.vmferry.relay.peer.wire.Extent;
import io.vmferry.relay.peer.wire.Frame;
import java.util.Arrays;
import java.util.Random;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import org.junit.jupiter.api.Test;

final class ExtentSenderTest {
  private static final int BLOCK = BlockGrid.BLOCK;

  private static Nodes.Answers send(long offset, byte[] content) {
    return send(offset, content, null);
  }

  private static Nodes.Answers send(long offset, byte[] content, Compression compression) {
    Nodes.Answers answers = new Nodes.Answers();
    // Not at the buffer's beginning, as any caller might have it.
    ByteBuf data = Unpooled.directBuffer().writeZero(3).writeBytes(content).skipBytes(3);
    new ExtentSender(offset, data, answers, compression).send();
    assertThat(data.refCnt()).isZero();
    return answers;
  }

  @Property(tries = 200)
  void thePiecesCoverTheRangeInOrderAndOnlyTheLastEndsIt(
      @ForAll @IntRange(max = 3 * BLOCK) int offset,
      @ForAll @IntRange(min = 1, max = 4 * BLOCK) int length,
      @ForAll long seed) {
    byte[] content = new byte[length];
    Random random = new Random(seed);
    for (int at = 0; at < length; at += 1000) {
      content[at] = (byte) random.nextInt(2);
    }
    Nodes.Answers answers = send(offset, content);

    byte[] received = new byte[length];
    long next = offset;
    for (int i = 0; i < answers.frames.size(); i++) {
      Frame frame = answers.frames.get(i);
      Extent extent = frame.getExtent();
      byte[] payload = answers.payloads.get(i);
      assertThat(extent.getOffset()).isEqualTo(next);
      if (extent.getZero()) {
        assertThat(payload).isEmpty();
      } else {
        assertThat(payload).hasSize(extent.getLength());
        assertThat(Crc32c.of(Unpooled.wrappedBuffer(payload))).isEqualTo(extent.getCrc32C());
        System.arraycopy(payload, 0, received, (int) (next - offset), payload.length);
      }
      next += extent.getLength();
    }
    assertThat(next).isEqualTo(offset + length);
    assertThat(answers.ended).isTrue();
    assertThat(received).isEqualTo(content);
  }

  @Test
  void zeroBlocksTravelWithoutPayloadWhereverTheyAre() {
    byte[] content = new byte[4 * BLOCK];
    content[2 * BLOCK + 5] = 1;
    Nodes.Answers answers = send(0, content);
    assertThat(answers.frames)
        .extracting(frame -> frame.getExtent().getZero())
        .containsExactly(true, false, true);
    assertThat(answers.payloads.get(1)).hasSize(BLOCK);
  }

  @Test
  void dataThatShrinksTravelsCompressedInPiecesAndOtherDataAsItIs() {
    byte[] content = new byte[200 << 10];
    Arrays.fill(content, 0, 64 << 10, (byte) 7);
    byte[] noise = new byte[content.length - (64 << 10)];
    new Random(1).nextBytes(noise);
    System.arraycopy(noise, 0, content, 64 << 10, noise.length);
    Nodes.Answers answers = send(0, content, new Compression(Runnable::run));

    assertThat(answers.frames)
        .extracting(frame -> frame.getExtent().getLength())
        .containsExactly(64 << 10, 64 << 10, 64 << 10, 8 << 10);
    assertThat(answers.frames)
        .extracting(frame -> frame.getExtent().getZstd())
        .containsExactly(true, false, false, false);
    assertThat(answers.payloads.get(0).length).isLessThan(1000);
    assertThat(answers.frames.get(0).getExtent().getCrc32C())
        .as("of the data")
        .isEqualTo(Crc32c.of(Unpooled.wrappedBuffer(content, 0, 64 << 10)));
  }
}
