// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.volume;

import static io.vmferry.relay.volume.VolumeFixture.BLOCK;
import static io.vmferry.relay.volume.VolumeFixture.bytes;
import static io.vmferry.relay.volume.VolumeFixture.filled;
import static io.vmferry.relay.volume.VolumeFixture.open;
import static org.assertj.core.api.Assertions.assertThat;

import io.vmferry.api.VolumeState;
import io.vmferry.nbd.NbdSession;
import io.vmferry.relay.copy.FakeLink;
import io.vmferry.relay.map.HeatRanks;
import io.vmferry.relay.peer.wire.Read;
import io.vmferry.relay.peer.wire.Refused;
import io.vmferry.relay.peer.wire.Role;
import io.vmferry.relay.store.DiskErrors;
import io.vmferry.relay.store.MemoryBlockFile.Kind;
import java.io.IOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.stream.LongStream;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import org.junit.jupiter.api.Test;

/** Fetch mode: what comes from the origin never replaces what the guest wrote. */
final class FetchedVolumeTest {
  private static final int BLOCKS = 8;
  private static final int SIZE = BLOCKS * BLOCK;
  private static final int ORIGIN = 111;

  /** Bytes of a region of the heat map. */
  private static final int REGION = 256 << 10;

  private final VolumeFixture fixture = new VolumeFixture();

  private static void answer(FakeLink.Call call) {
    if (call.request().hasRead()) {
      Read read = call.request().getRead();
      call.data(read.getOffset(), bytes(read.getLength(), ORIGIN));
    } else if (call.request().hasHeat()) {
      call.refuse(Refused.Code.UNSUPPORTED);
    } else {
      call.holes(SIZE);
    }
    call.end();
  }

  @Property(tries = 200)
  void neverOverwritesANewerGuestWrite(@ForAll long seed) throws IOException {
    VolumeFixture f = new VolumeFixture();
    Random random = new Random(seed);
    Volume volume = f.fetching(SIZE, 0);
    NbdSession guest = open(volume, 7);
    byte[] expected = bytes(SIZE, ORIGIN);
    f.file().hold();
    for (int step = 0; step < 60; step++) {
      int dice = random.nextInt(4);
      if (dice == 0 && !f.peer.calls().isEmpty()) {
        answer(f.peer.calls().get(random.nextInt(f.peer.calls().size())));
      } else if (dice == 1) {
        int at = random.nextInt(SIZE);
        int length = 1 + random.nextInt(Math.min(2 * BLOCK, SIZE - at));
        RecordedReply reply = new RecordedReply();
        guest.write(at, filled(length, step), false, reply);
        // One write at a time: the order of overlapping writes is the guest's own business.
        for (int turns = 0; reply.outcome() == null && turns < 1000; turns++) {
          oneThing(f, random);
        }
        assertThat(reply.outcome()).isEqualTo("ok");
        Arrays.fill(expected, at, at + length, (byte) step);
      } else if (!f.file().held().isEmpty()) {
        f.file().release(random.nextInt(f.file().held().size()));
      }
      f.run();
    }
    f.file().flow();
    for (int turns = 0; turns < 100 && volume.record().state() != VolumeState.SERVING; turns++) {
      f.peer.calls().forEach(FetchedVolumeTest::answer);
      f.run();
    }
    assertThat(volume.record().state()).isEqualTo(VolumeState.SERVING);
    assertThat(f.file().content()).isEqualTo(expected);
  }

  private static void oneThing(VolumeFixture f, Random random) {
    if (!f.file().held().isEmpty() && random.nextBoolean()) {
      f.file().release(random.nextInt(f.file().held().size()));
    } else if (!f.peer.calls().isEmpty()) {
      answer(f.peer.calls().get(random.nextInt(f.peer.calls().size())));
    }
    f.run();
  }

  @Test
  void missesOfOneBlockShareOneFetch() throws IOException {
    Volume volume = fixture.fetching(SIZE, 0);
    NbdSession guest = open(volume, 7);
    RecordedReply one = new RecordedReply();
    RecordedReply two = new RecordedReply();
    guest.read(0, 512, one);
    guest.read(1024, 512, two);
    assertThat(fixture.peer.reads(Role.DEMAND)).hasSize(1);
    assertThat(volume.status().fetch().waiting()).isEqualTo(2);
    answer(fixture.peer.reads(Role.DEMAND).get(0));
    assertThat(volume.status().fetch().waiting()).isZero();
    assertThat(one.bytes()).containsOnly(ORIGIN);
    assertThat(two.bytes()).containsOnly(ORIGIN);
  }

  /** Offsets, in regions of the heat map, of the background requests under way. */
  private List<Long> inBackground() {
    return fixture.peer.reads(Role.BULK).stream()
        .map(call -> call.request().getRead().getOffset() / REGION)
        .distinct()
        .toList();
  }

  /** One request after the other is answered; the regions they were for, in order. */
  private List<Long> copyAll() {
    List<Long> order = new ArrayList<>();
    while (!fixture.peer.reads(Role.BULK).isEmpty()) {
      order.add(inBackground().get(0));
      answer(fixture.peer.reads(Role.BULK).get(0));
      fixture.run();
    }
    return order.stream().distinct().toList();
  }

  @Test
  void theCopyFollowsTheHeatOfTheOrigin() throws IOException {
    Volume volume = fixture.fetching(10L * REGION, 0);
    List<Long> before = inBackground();
    byte[] ranks = bytes(10, HeatRanks.NEVER);
    ranks[7] = 0;
    ranks[5] = 4;
    FakeLink.Call heat = fixture.peer.heatCall();
    heat.heat(new HeatRanks(18, ranks));
    heat.end();
    List<Long> order = copyAll();
    assertThat(order.subList(before.size(), before.size() + 2)).containsExactly(7L, 5L);
    fixture.peer.calls().forEach(FetchedVolumeTest::answer);
    fixture.run();
    assertThat(volume.record().state()).isEqualTo(VolumeState.SERVING);
  }

  @Test
  void theCopyGoesWhereAGuestMissesFirst() throws IOException {
    Volume volume = fixture.fetching(10L * REGION, 0);
    List<Long> before = inBackground();
    RecordedReply reply = new RecordedReply();
    open(volume, 7).read(8L * REGION + 512, 512, reply);
    assertThat(copyAll().get(before.size())).isEqualTo(8);
  }

  @Test
  void anOriginThatKnowsNoHeatIsAskedOnce() throws IOException {
    fixture.fetching(SIZE, 0);
    FakeLink.Call heat = fixture.peer.heatCall();
    heat.refuse(Refused.Code.UNSUPPORTED);
    heat.end();
    fixture.peer.calls().forEach(FetchedVolumeTest::answer);
    assertThat(fixture.peer.calls()).noneMatch(call -> call.request().hasHeat());
  }

  @Test
  void heatIsAskedForAgainWhenTheAnswerWasLost() throws IOException {
    Volume volume = fixture.fetching(SIZE, 0);
    fixture.peer.cut();
    fixture.peer.repair();
    volume.linkUp("a");
    assertThat(fixture.peer.heatCall()).isNotNull();
  }

  private static NbdSession read(NbdSession guest, long offset, int length) {
    guest.read(offset, length, new RecordedReply());
    return guest;
  }

  /** Blocks that were asked for on demand, in order. */
  private List<Long> onDemand() {
    List<Long> blocks = new ArrayList<>();
    for (FakeLink.Call call : fixture.peer.reads(Role.DEMAND)) {
      Read read = call.request().getRead();
      for (long at = 0; at < read.getLength(); at += BLOCK) {
        blocks.add((read.getOffset() + at) / BLOCK);
      }
    }
    return blocks;
  }

  @Test
  void aSequentialReaderFindsItsNextBlocksOnTheWay() throws IOException {
    NbdSession guest = open(fixture.fetching(10L * REGION, 0), 7);
    long start = 5L * REGION / BLOCK;
    read(guest, start * BLOCK, BLOCK);
    assertThat(onDemand()).containsExactly(start);
    read(guest, (start + 1) * BLOCK, BLOCK);
    assertThat(onDemand()).containsExactlyElementsOf(numbers(start, 18));
    read(guest, (start + 2) * BLOCK, 12 * BLOCK);
    assertThat(onDemand()).as("each block once").containsExactlyElementsOf(numbers(start, 50));
  }

  private static List<Long> numbers(long from, int count) {
    return LongStream.range(from, from + count).boxed().toList();
  }

  @Test
  void readAheadLeavesOutWhatComesAnyway() throws IOException {
    NbdSession guest = open(fixture.fetching(2L * REGION, 10), 7);
    assertThat(inBackground()).containsExactly(0L, 1L);
    read(guest, 8 * BLOCK, BLOCK);
    read(guest, 9 * BLOCK, BLOCK);
    assertThat(onDemand()).isEmpty();
  }

  @Test
  void aFullDiskStopsTheCopyUntilThereIsSpaceAgain() throws IOException {
    Volume volume = fixture.fetching(SIZE, 0);
    fixture.file().failNext(Kind.WRITE, DiskErrors.noSpace());
    fixture.peer.calls().forEach(FetchedVolumeTest::answer);
    assertThat(volume.failure()).isNull();

    fixture.run(Duration.ofSeconds(3));
    fixture.peer.calls().forEach(FetchedVolumeTest::answer);
    fixture.run();
    assertThat(volume.record().state()).isEqualTo(VolumeState.SERVING);
  }

  @Test
  void aBrokenDiskStopsTheVolume() throws IOException {
    Volume volume = fixture.fetching(SIZE, 0);
    fixture.file().failNext(Kind.WRITE, DiskErrors.io());
    fixture.peer.calls().forEach(FetchedVolumeTest::answer);
    assertThat(volume.failure()).contains("vol");
  }
}
