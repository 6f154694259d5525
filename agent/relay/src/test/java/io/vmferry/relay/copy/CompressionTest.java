// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.copy;

import static org.assertj.core.api.Assertions.assertThat;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.ByteBufUtil;
import io.netty.buffer.Unpooled;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.RejectedExecutionException;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import org.junit.jupiter.api.Test;

final class CompressionTest {
  private final Compression compression = new Compression(Runnable::run);

  /** Bytes of which some part is noise. */
  private static ByteBuf data(int length, int noisePercent, long seed) {
    Random random = new Random(seed);
    byte[] bytes = new byte[length];
    for (int i = 0; i < length; i++) {
      bytes[i] = (byte) (random.nextInt(100) < noisePercent ? random.nextInt() : i / 50);
    }
    return Unpooled.directBuffer().writeZero(5).writeBytes(bytes).skipBytes(5);
  }

  @Property(tries = 200)
  void whatIsPackedBecomesTheSameAgain(
      @ForAll @IntRange(min = Compression.MIN_BYTES, max = 200_000) int length,
      @ForAll @IntRange(max = 60) int noise,
      @ForAll long seed) {
    ByteBuf data = data(length, noise, seed);
    ByteBuf packed = compression.pack(data);
    assertThat(data.readableBytes()).isEqualTo(length);
    if (packed != null) {
      assertThat(packed.readableBytes()).isLessThan(length);
      ByteBuf unpacked = Compression.unpack(packed, length);
      // Not ByteBufUtil.equals: the leak detector notes each of its steps.
      assertThat(ByteBufUtil.getBytes(unpacked)).isEqualTo(ByteBufUtil.getBytes(data));
      assertThat(unpacked.release()).isTrue();
      assertThat(packed.release()).isTrue();
    }
    assertThat(data.release()).isTrue();
  }

  private boolean packs(ByteBuf data) {
    ByteBuf packed = compression.pack(data);
    data.release();
    return packed != null && packed.release();
  }

  @Test
  void leavesNoiseAndShortDataAlone() {
    assertThat(packs(data(64 << 10, 100, 1))).isFalse();
    assertThat(packs(data(Compression.MIN_BYTES - 1, 0, 1))).isFalse();
    assertThat(packs(data(Compression.MIN_BYTES, 0, 1))).isTrue();
  }

  @Test
  void dataWhoseMiddleIsNoiseIsNotEvenTried() {
    ByteBuf data = data(64 << 10, 0, 1);
    byte[] noise = new byte[8 << 10];
    new Random(1).nextBytes(noise);
    data.setBytes(data.readerIndex() + (28 << 10), noise);
    assertThat(packs(data)).isFalse();
  }

  @Property(tries = 500)
  void brokenDataIsRefusedAndNeverMoreThanItsLength(@ForAll long seed) {
    Random random = new Random(seed);
    ByteBuf data = data(20_000, 20, seed);
    ByteBuf packed = compression.pack(data);
    data.release();
    int flips = 1 + random.nextInt(5);
    for (int i = 0; i < flips; i++) {
      int at = random.nextInt(packed.readableBytes());
      packed.setByte(at, packed.getByte(at) ^ (1 << random.nextInt(8)));
    }
    ByteBuf unpacked = Compression.unpack(packed, 20_000);
    // Some flips make other data of the same length: the checksum of the extent is for those.
    assertThat(unpacked == null || unpacked.readableBytes() == 20_000).isTrue();
    if (unpacked != null) {
      unpacked.release();
    }
    packed.writerIndex(random.nextInt(packed.readableBytes()));
    assertThat(Compression.unpack(packed, 20_000)).isNull();
    packed.release();
  }

  @Test
  void aBombIsNotUnpacked() {
    ByteBuf huge = Unpooled.directBuffer().writeZero(64 << 20);
    ByteBuf packed = compression.pack(huge);
    assertThat(packed.readableBytes()).isLessThan(8 << 10);
    assertThat(Compression.unpack(packed, 16 << 10)).isNull();
    packed.release();
    huge.release();
  }

  @Test
  void takesNoMoreThanItWillSoonDo() {
    List<Runnable> tasks = new ArrayList<>();
    Compression slow = new Compression(tasks::add);
    for (int i = 0; i < Compression.MAX_WAITING; i++) {
      assertThat(slow.submit(() -> {})).isTrue();
    }
    assertThat(slow.submit(() -> {})).isFalse();
    tasks.remove(0).run();
    assertThat(slow.submit(() -> {})).isTrue();
    assertThat(slow.submit(() -> {})).isFalse();
  }

  @Test
  void takesNothingWhenTheRelayStops() {
    Compression stopped =
        new Compression(
            task -> {
              throw new RejectedExecutionException();
            });
    for (int i = 0; i <= Compression.MAX_WAITING; i++) {
      assertThat(stopped.submit(() -> {})).isFalse();
    }
  }
}
