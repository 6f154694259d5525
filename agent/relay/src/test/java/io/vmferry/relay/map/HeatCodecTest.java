// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.map;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.Unpooled;
import java.util.Random;
import java.util.zip.CRC32C;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

final class HeatCodecTest {
  private static final long REGION = 1 << HeatRanks.MIN_REGION_SHIFT;

  private static ByteBuf encode(HeatRanks heat) {
    ByteBuf out = Unpooled.buffer();
    HeatCodec.encode(heat, out);
    return out;
  }

  /** Four regions, with this body and a right checksum. */
  private static ByteBuf four(int... body) {
    ByteBuf out = Unpooled.buffer().writeInt(HeatCodec.MAGIC).writeInt(1).writeInt(18).writeInt(4);
    for (int each : body) {
      out.writeByte(each);
    }
    return sealed(out);
  }

  private static ByteBuf sealed(ByteBuf out) {
    CRC32C crc = new CRC32C();
    crc.update(out.nioBuffer());
    return out.writeInt((int) crc.getValue());
  }

  private static void refused(ByteBuf wire, String reason) {
    assertThatThrownBy(() -> HeatCodec.decode(wire, 4 * REGION))
        .isInstanceOf(MalformedMapException.class)
        .hasMessageContaining(reason);
  }

  @Property(tries = 200)
  void roundTrips(@ForAll @IntRange(min = 1, max = 40_000) int regions, @ForAll long seed)
      throws MalformedMapException {
    Random random = new Random(seed);
    byte[] ranks = new byte[regions];
    byte rank = HeatRanks.NEVER;
    int keep = 1 + random.nextInt(50);
    for (int i = 0; i < regions; i++) {
      if (random.nextInt(keep) == 0) {
        rank = random.nextBoolean() ? HeatRanks.NEVER : (byte) random.nextInt(33);
      }
      ranks[i] = rank;
    }
    ByteBuf wire = encode(new HeatRanks(18, ranks));
    HeatRanks decoded = HeatCodec.decode(wire, regions * REGION - random.nextInt((int) REGION));
    assertThat(decoded.regionShift()).isEqualTo(18);
    assertThat(decoded.ranks()).isEqualTo(ranks);
  }

  @Test
  void aVolumeThatWasNeverUsedTakesFewBytes() {
    assertThat(encode(new HeatMap(1L << 44).ranks()).readableBytes()).isLessThan(30);
  }

  @Test
  void decodesWhatAnotherReleaseMayChoose() throws MalformedMapException {
    ByteBuf wire = Unpooled.buffer().writeInt(HeatCodec.MAGIC).writeInt(1).writeInt(20).writeInt(1);
    HeatRanks heat = HeatCodec.decode(sealed(wire.writeByte(5).writeByte(1)), 4 * REGION);
    assertThat(heat.regionShift()).isEqualTo(20);
    assertThat(heat.ranks()).containsExactly(5);
  }

  @Test
  void refusesWhatIsNotAsItMustBe() throws MalformedMapException {
    assertThat(HeatCodec.decode(four(0, 1, 63, 3), 4 * REGION).ranks())
        .containsExactly(0, 63, 63, 63);
    refused(four(0, 5), "more regions");
    refused(four(0, 3, 1, 2), "more regions");
    refused(four(0, 0), "more regions");
    refused(four(0, 3), "ends at region 3");
    refused(four(0, 4, 1), "goes on");
    refused(four(33, 4), "rank 33");
    refused(four(255, 4), "rank -1");
    refused(four(0, 0xff, 0xff, 0xff, 0xff), "longer than");
    refused(four(0, 0x84), "cut short");
    refused(Unpooled.EMPTY_BUFFER, "cut short");
    refused(sealed(Unpooled.buffer().writeInt(1).writeInt(1).writeLong(0)), "mark");
    refused(
        sealed(Unpooled.buffer().writeInt(HeatCodec.MAGIC).writeInt(2).writeLong(0)), "version");
  }

  @ParameterizedTest
  @ValueSource(ints = {0, 11, 63, -1, 17, 19})
  void refusesRegionsThatAreNotTheVolumes(int shift) {
    refused(
        sealed(
            Unpooled.buffer()
                .writeInt(HeatCodec.MAGIC)
                .writeInt(1)
                .writeInt(shift)
                .writeInt(4)
                .writeByte(0)
                .writeByte(4)),
        "regions");
  }

  @Test
  void takesNoMemoryForANumberOfRegionsThatNoReleaseSends() {
    for (int regions : new int[] {0, -1, Integer.MAX_VALUE, HeatRanks.MAX_REGIONS + 1}) {
      ByteBuf wire = Unpooled.buffer().writeInt(HeatCodec.MAGIC).writeInt(1).writeInt(18);
      refused(sealed(wire.writeInt(regions)), "it has " + regions + " regions");
    }
  }

  @Test
  void eachFlippedBitIsNoticed() {
    ByteBuf wire = four(0, 1, 63, 3);
    for (int bit = 0; bit < wire.readableBytes() * 8; bit++) {
      ByteBuf flipped = wire.copy();
      flipped.setByte(bit / 8, flipped.getByte(bit / 8) ^ (1 << bit % 8));
      refused(flipped, "can't be used");
    }
  }
}
