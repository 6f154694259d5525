// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.copy;

import static org.assertj.core.api.Assertions.assertThat;

import io.vmferry.relay.map.HeapBlockMap;
import io.vmferry.relay.map.HeatRanks;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import org.junit.jupiter.api.Test;

final class CopyOrderTest {
  private static final int REGION = 64; // blocks
  private static final byte NEVER = HeatRanks.NEVER;

  /** What is still to be copied. */
  private HeapBlockMap wanted;

  private CopyOrder order;

  private void volume(long blocks) {
    wanted = HeapBlockMap.allSet(blocks);
    order = new CopyOrder(blocks);
  }

  private CopyOrder.Piece next() {
    return order.next(wanted::nextSet);
  }

  /** Copies until nothing is wanted; the first block of each piece. */
  private List<Long> copyAll() {
    List<Long> begins = new ArrayList<>();
    for (CopyOrder.Piece next = next(); next != null; next = next()) {
      long to = Math.min(next.from() + REGION, Math.min(next.to(), wanted.nextClear(next.from())));
      assertThat(wanted.clear(next.from(), to)).as("new blocks").isEqualTo(to - next.from());
      begins.add(next.from());
    }
    return begins;
  }

  private static HeatRanks ranks(int... ranks) {
    byte[] bytes = new byte[ranks.length];
    for (int i = 0; i < ranks.length; i++) {
      bytes[i] = (byte) ranks[i];
    }
    return new HeatRanks(18, bytes);
  }

  @Test
  void byPlaceIfNothingIsKnown() {
    volume(4 * REGION);
    assertThat(copyAll()).containsExactly(0L, 64L, 128L, 192L);
  }

  @Test
  void theHottestFirstAndTheRestByPlace() {
    volume(6 * REGION - 1);
    order.heat(ranks(NEVER, 7, NEVER, 0, 1, 0));
    assertThat(copyAll()).containsExactly(192L, 320L, 256L, 64L, 0L, 128L);
  }

  @Test
  void theOldestUseComesBeforeNone() {
    volume(3 * REGION);
    order.heat(ranks(NEVER, NEVER, HeatRanks.OLDEST));
    assertThat(copyAll()).containsExactly(128L, 0L, 64L);
  }

  @Test
  void neighboursOfOneHeatAreOneRun() {
    volume(4 * REGION);
    order.heat(ranks(NEVER, 2, 2, NEVER));
    assertThat(next()).isEqualTo(new CopyOrder.Piece(64, 192));
  }

  @Test
  void aroundTheLastMissComesFirst() {
    volume(8 * REGION);
    order.heat(ranks(NEVER, 0, NEVER, NEVER, NEVER, NEVER, NEVER, NEVER));
    order.missed(6 * REGION + 5, 6 * REGION + 6);
    order.missed(4 * REGION - 1, 4 * REGION + 1);
    wanted.clear(3 * REGION, 3 * REGION + 10);
    assertThat(copyAll()).startsWith(202L, 266L, 384L, 64L, 0L);
  }

  @Test
  void aMissSeenAgainIsTheLastOne() {
    volume(8 * REGION);
    order.missed(REGION, REGION + 1);
    order.missed(5 * REGION, 5 * REGION + 1);
    order.missed(REGION + 7, REGION + 8);
    assertThat(copyAll()).startsWith(64L, 320L, 0L);
  }

  @Test
  void oldMissesAreForgotten() {
    volume(1000L * REGION);
    for (long miss = 100; miss <= 100 + CopyOrder.MAX_MISSES; miss++) {
      order.missed(miss * REGION, miss * REGION + 1);
    }
    List<Long> begins = copyAll();
    assertThat(begins.get(CopyOrder.MAX_MISSES - 1)).isEqualTo(101L * REGION);
    assertThat(begins.get(CopyOrder.MAX_MISSES)).isZero();
  }

  @Test
  void whatFailedIsNamedAgain() {
    volume(4 * REGION);
    order.heat(ranks(NEVER, NEVER, 0, NEVER));
    order.missed(REGION, REGION + 1);
    assertThat(copyAll()).hasSize(4);
    wanted.set(REGION, 3 * REGION);
    assertThat(copyAll()).containsExactly(64L, 128L);
    assertThat(next()).isNull();
  }

  @Property(tries = 300)
  void everyBlockComesExactlyOnceAndItEnds(@ForAll long seed) {
    Random random = new Random(seed);
    int regions = 1 + random.nextInt(40);
    long blocks = (long) regions * REGION - random.nextInt(REGION);
    volume(blocks);
    int heatAt = random.nextInt(60);
    long copied = 0;
    int steps = 0;
    for (CopyOrder.Piece next = next(); next != null; next = next()) {
      assertThat(next.from()).isBetween(0L, blocks - 1);
      assertThat(next.to()).isBetween(next.from() + 1, blocks);
      assertThat(wanted.get(next.from())).isTrue();
      long to = Math.min(next.from() + 1 + random.nextInt(2 * REGION), next.to());
      copied += wanted.clear(next.from(), Math.min(to, wanted.nextClear(next.from())));
      if (random.nextInt(3) == 0) {
        long miss = random.nextInt((int) blocks);
        order.missed(miss, Math.min(blocks, miss + 1 + random.nextInt(100)));
      }
      if (steps == heatAt) {
        byte[] ranks = new byte[regions];
        for (int i = 0; i < regions; i++) {
          ranks[i] = random.nextBoolean() ? NEVER : (byte) random.nextInt(33);
        }
        order.heat(new HeatRanks(18, ranks));
      }
      assertThat(++steps).as("steps").isLessThanOrEqualTo((int) blocks);
    }
    assertThat(copied).isEqualTo(blocks);
  }
}
