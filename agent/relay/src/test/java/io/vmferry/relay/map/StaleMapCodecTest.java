// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.map;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.Unpooled;
import java.lang.reflect.Proxy;
import java.util.Random;
import java.util.zip.CRC32C;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

final class StaleMapCodecTest {

  private static final int CHUNK = ChunkedBlockMap.CHUNK_BLOCKS;

  private static ByteBuf encode(BlockMap map) {
    ByteBuf out = Unpooled.buffer();
    StaleMapCodec.encode(map, out);
    return out;
  }

  private static boolean same(BlockMap a, BlockMap b) {
    if (a.cardinality() != b.cardinality()) {
      return false;
    }
    return Runs.forEach(a, 0, a.blocks(), true, (from, to) -> b.allSet(from, to));
  }

  private static HeapBlockMap random(long blocks, double density, long seed) {
    HeapBlockMap map = HeapBlockMap.allClear(blocks);
    Random random = new Random(seed);
    for (long block = 0; block < blocks; block++) {
      if (random.nextDouble() < density) {
        map.set(block, block + 1);
      }
    }
    return map;
  }

  @ParameterizedTest
  @ValueSource(longs = {0, 1, 7, 64, CHUNK - 1, CHUNK, CHUNK + 1, 3L * CHUNK + 5})
  void roundTripsEachDensity(long blocks) throws MalformedMapException {
    for (double density : new double[] {0, 0.0001, 0.05, 0.5, 0.95, 0.9999, 1}) {
      HeapBlockMap map = random(blocks, density, blocks);
      ByteBuf wire = encode(map);
      assertThat(same(map, StaleMapCodec.decode(wire, blocks))).isTrue();
      assertThat(wire.isReadable()).isFalse();
    }
  }

  @Test
  void encodesAnyImplementation() throws MalformedMapException {
    HeapBlockMap map = random(1000, 0.1, 1);
    BlockMap foreign =
        (BlockMap)
            Proxy.newProxyInstance(
                getClass().getClassLoader(),
                new Class<?>[] {BlockMap.class},
                (proxy, method, args) -> method.invoke(map, args));

    assertThat(same(map, StaleMapCodec.decode(encode(foreign), 1000))).isTrue();
  }

  @Test
  void uniformMapsOfATebibyteAreTiny() {
    long blocks = 1L << 28;
    assertThat(encode(HeapBlockMap.allSet(blocks)).readableBytes()).isLessThan(40);
    assertThat(encode(HeapBlockMap.allClear(blocks)).readableBytes()).isLessThan(40);
  }

  @Test
  void fewRunsAreSmall() {
    HeapBlockMap map = HeapBlockMap.allClear(1L << 28);
    for (int i = 0; i < 100; i++) {
      map.set(i * 1_000_000L, i * 1_000_000L + 50);
    }
    assertThat(encode(map).readableBytes()).isLessThan(100 * 12);
  }

  @Test
  void randomMapsTakeHardlyMoreThanABitPerBlock() {
    int chunks = 8;
    int bytes = encode(random((long) chunks * CHUNK, 0.5, 3)).readableBytes();

    assertThat(bytes).isEqualTo(32 + chunks * 4097);
    assertThat(StaleMapCodec.maxEncodedBytes((long) chunks * CHUNK)).isEqualTo(bytes);
  }

  @Test
  void leavesWhatFollowsInTheBuffer() throws MalformedMapException {
    ByteBuf wire = encode(random(100, 0.5, 1));
    StaleMapCodec.encode(HeapBlockMap.allSet(7), wire);

    StaleMapCodec.decode(wire, 100);

    assertThat(StaleMapCodec.decode(wire, 7).cardinality()).isEqualTo(7);
  }

  @Test
  void detectsEachFlippedBit() {
    ByteBuf wire = encode(random(CHUNK + 100, 0.01, 5));
    for (int bit = 0; bit < wire.readableBytes() * 8; bit++) {
      ByteBuf flipped = wire.copy();
      flipped.setByte(bit / 8, flipped.getByte(bit / 8) ^ 1 << bit % 8);
      assertThatThrownBy(() -> StaleMapCodec.decode(flipped, CHUNK + 100))
          .as("bit %d", bit)
          .isInstanceOf(MalformedMapException.class);
    }
  }

  @Test
  void detectsEachCut() {
    ByteBuf wire = encode(random(CHUNK + 100, 0.01, 5));
    for (int length = 0; length < wire.readableBytes(); length++) {
      ByteBuf cut = wire.copy(0, length);
      assertThatThrownBy(() -> StaleMapCodec.decode(cut, CHUNK + 100))
          .isInstanceOf(MalformedMapException.class);
    }
  }

  /** A frame with a right checksum around a body that a hostile or faulty peer made. */
  private static ByteBuf frame(int version, long blocks, long cardinality, int... body) {
    ByteBuf out = Unpooled.buffer();
    out.writeInt(StaleMapCodec.MAGIC).writeInt(version).writeLong(blocks).writeLong(cardinality);
    out.writeInt(body.length);
    for (int next : body) {
      out.writeByte(next);
    }
    CRC32C crc = new CRC32C();
    crc.update(out.nioBuffer());
    return out.writeInt((int) crc.getValue());
  }

  private static void refuses(ByteBuf wire, String reason) {
    assertThatThrownBy(() -> StaleMapCodec.decode(wire, 100))
        .isInstanceOf(MalformedMapException.class)
        .hasMessageContaining(reason);
  }

  @Test
  void refusesWhatARightChecksumCannotExcuse() {
    refuses(frame(2, 100, 0, 0, 1), "version 2");
    refuses(frame(1, 101, 0, 0, 1), "101 blocks where the volume has 100");
    refuses(frame(1, 100, 1, 0, 1), "0 set blocks where its header says 1");
    refuses(frame(1, 100, 0), "ends at chunk 0");
    refuses(frame(1, 100, 0, 0, 1, 0), "after the last chunk");
    refuses(frame(1, 100, 0, 0, 0), "more chunks");
    refuses(frame(1, 100, 0, 1, 2), "more chunks");
    refuses(frame(1, 100, 0, 9), "unknown form 9");
    refuses(frame(1, 100, 0, 0), "number is cut short");
    refuses(frame(1, 100, 0, 0, 255, 255, 255, 255, 255, 1), "longer than");
    refuses(frame(1, 100, 0, 2, 0x81, 0x10), "too many runs");
    refuses(frame(1, 100, 0, 2, 1, 5, 0), "empty or past");
    refuses(frame(1, 100, 0, 2, 1, 50, 51), "empty or past");
    refuses(frame(1, 100, 0, 3, 1, 2, 3), "cut short");
    refuses(frame(1, 100, 8, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10), "past the end");
  }

  @Test
  void randomBytesNeverDoWorseThanARefusal() {
    Random random = new Random(11);
    for (int i = 0; i < 20_000; i++) {
      int[] body = random.ints(random.nextInt(40), 0, i % 2 == 0 ? 4 : 256).toArray();
      try {
        HeapBlockMap map = StaleMapCodec.decode(frame(1, 3L * CHUNK, 0, body), 3L * CHUNK);
        assertThat(map.cardinality()).isZero();
      } catch (MalformedMapException e) {
        assertThat(e).hasMessageContaining("can't be used");
      }
    }
  }
}
