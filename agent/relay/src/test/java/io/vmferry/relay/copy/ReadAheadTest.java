// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.copy;

import static org.assertj.core.api.Assertions.assertThat;

import io.vmferry.relay.copy.ReadAhead.Portion;
import java.util.Random;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import org.junit.jupiter.api.Test;

final class ReadAheadTest {
  private static final long MOST = ReadAhead.MOST;

  private final ReadAhead ahead = new ReadAhead(100_000);

  private Portion read(long from, long count) {
    return ahead.read(from, from + count, MOST);
  }

  @Test
  void beginsWithTheSecondReadAndGrows() {
    assertThat(read(1000, 1)).isNull();
    assertThat(read(1001, 1)).isEqualTo(new Portion(1002, 1018));
    assertThat(read(1002, 1)).as("half of it is unread").isNull();
    assertThat(read(1003, 8)).isEqualTo(new Portion(1018, 1050));
    assertThat(read(1011, 30)).isEqualTo(new Portion(1050, 1114));
  }

  @Test
  void namesNoMoreThanAllowedAndNothingPastTheEnd() {
    long at = 0;
    for (int i = 0; i < 1000; i++) {
      Portion portion = read(at, 8);
      assertThat(portion == null || portion.to() - portion.from() <= MOST).isTrue();
      at += 8;
    }
    read(99_000, 1);
    assertThat(ahead.read(99_001, 99_002, 4)).isEqualTo(new Portion(99_002, 99_006));
    read(99_990, 2);
    assertThat(read(99_992, 2)).isEqualTo(new Portion(99_994, 100_000));
    assertThat(read(99_994, 6)).isNull();
  }

  @Test
  void randomReadsAreNoStream() {
    Random random = new Random(1);
    int named = 0;
    for (int i = 0; i < 1000; i++) {
      named += read(random.nextInt(90_000), 1) == null ? 0 : 1;
    }
    assertThat(named).isLessThan(20);
  }

  @Test
  void programsInOneGuestHaveStreamsOfTheirOwn() {
    for (int i = 0; i < ReadAhead.STREAMS; i++) {
      assertThat(read(10_000L * i, 1)).isNull();
    }
    for (int i = 0; i < ReadAhead.STREAMS; i++) {
      assertThat(read(10_000L * i + 1, 1)).isNotNull();
    }
  }

  @Test
  void theStreamReadLongestAgoIsGivenUp() {
    for (int i = 0; i <= ReadAhead.STREAMS; i++) {
      read(10_000L * i, 1);
    }
    assertThat(read(10_001, 1)).isNotNull();
    assertThat(read(1, 1)).isNull();
  }

  @Test
  void readsInTheWrongOrderAreStillAStream() {
    read(500, 4);
    assertThat(read(508, 4)).isEqualTo(new Portion(512, 528));
    assertThat(read(504, 4)).as("overtaken").isNull();
    assertThat(read(512, 8)).isEqualTo(new Portion(528, 560));
  }

  @Property(tries = 100)
  void namesEachBlockOfOneStreamOnce(@ForAll long seed) {
    Random random = new Random(seed);
    ReadAhead one = new ReadAhead(50_000);
    long at = 10;
    long named = 0;
    while (at < 49_000) {
      long to = at + 1 + random.nextInt(64);
      Portion portion = one.read(at, to, 1 + random.nextInt(300));
      if (portion != null) {
        assertThat(portion.from()).isGreaterThanOrEqualTo(Math.max(named, to));
        assertThat(portion.to()).isGreaterThan(portion.from());
        named = portion.to();
      }
      at = to;
    }
    assertThat(named).as("keeps ahead").isGreaterThan(at);
  }
}
