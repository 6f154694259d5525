// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.volume;

import static io.vmferry.relay.volume.VolumeFixture.BLOCK;
import static io.vmferry.relay.volume.VolumeFixture.bytes;
import static io.vmferry.relay.volume.VolumeFixture.filled;
import static io.vmferry.relay.volume.VolumeFixture.open;
import static org.assertj.core.api.Assertions.assertThat;

import io.netty.buffer.Unpooled;
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
  void r6NeverOverwritesANewerGuestWrite(@ForAll long seed) throws IOException {
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
  void r13MissesOfOneBlockShareOneFetch() throws IOException {
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
  void r13ABlockThatIsBeingStoredIsNotAskedForAgain() throws IOException {
    NbdSession guest = open(fixture.fetching(SIZE, 0), 7);
    fixture.file().hold();
    RecordedReply one = new RecordedReply();
    RecordedReply two = new RecordedReply();
    guest.read(0, 512, one);
    answer(fixture.peer.reads(Role.DEMAND).get(0));
    assertThat(fixture.file().held()).as("its store is under way").hasSize(1);
    assertThat(fixture.peer.reads(Role.DEMAND)).as("by who waits for it").isEmpty();
    guest.read(1024, 512, two);
    assertThat(fixture.peer.reads(Role.DEMAND)).as("by who comes later").isEmpty();
    fixture.file().flow();
    assertThat(one.bytes()).hasSize(512).containsOnly(ORIGIN);
    assertThat(two.bytes()).hasSize(512).containsOnly(ORIGIN);
  }

  /** Blocks 0 and 1 are held, zeroes; the disk is full, and the background copy has noticed. */
  private Volume onAFullDisk() throws IOException {
    Volume volume = fixture.fetching(SIZE, 2);
    fixture.file().setFull(true);
    fixture.peer.calls().forEach(FetchedVolumeTest::answer);
    fixture.run();
    assertThat(volume.status().waitingFor()).contains("space", "free some");
    return volume;
  }

  /** Answers what is asked until the reply is there, without letting a second pass. */
  private void answerUntilDone(RecordedReply reply) {
    for (int turns = 0; reply.outcome() == null && turns < 20; turns++) {
      fixture.peer.reads(Role.DEMAND).forEach(FetchedVolumeTest::answer);
      fixture.run();
    }
  }

  @Test
  void onAFullDiskReadsAreAnsweredFromTheOriginAndNotHeld() throws IOException {
    Volume volume = onAFullDisk();
    NbdSession guest = open(volume, 7);
    long held = volume.status().present();
    for (int time = 0; time < 2; time++) {
      RecordedReply reply = new RecordedReply();
      guest.read(BLOCK + 512, 2 * BLOCK, reply);
      assertThat(volume.status().fetch().waiting()).isEqualTo(1);
      answerUntilDone(reply);
      assertThat(reply.outcome()).isEqualTo("ok");
      byte[] expected = bytes(2 * BLOCK, ORIGIN);
      Arrays.fill(expected, 0, BLOCK - 512, (byte) 0);
      assertThat(reply.bytes()).isEqualTo(expected);
      assertThat(volume.status().present()).isEqualTo(held);
      assertThat(volume.status().fetch().waiting()).isZero();
      assertThat(volume.failure()).isNull();
    }
  }

  @Test
  void theReadThatFindsTheDiskFullIsAnsweredToo() throws IOException {
    Volume volume = fixture.fetching(SIZE, 0);
    fixture.file().setFull(true);
    RecordedReply reply = new RecordedReply();
    open(volume, 7).read(0, SIZE, reply);
    answerUntilDone(reply);
    assertThat(reply.bytes()).hasSize(SIZE).containsOnly(ORIGIN);
    assertThat(volume.status().present()).isZero();
  }

  @Test
  void onAFullDiskAGuestReadsWhatItWrote() throws IOException {
    Volume volume = onAFullDisk();
    NbdSession guest = open(volume, 7);
    RecordedReply wrote = new RecordedReply();
    guest.write(0, filled(BLOCK, 9), false, wrote);
    assertThat(wrote.outcome()).as("zeroes take no space, a block does").isEqualTo("ENOSPC");

    fixture.file().setFull(false);
    RecordedReply again = new RecordedReply();
    guest.write(4L * BLOCK, filled(BLOCK, 9), false, again);
    assertThat(again.outcome()).isEqualTo("ok");
    fixture.file().setFull(true);
    RecordedReply reply = new RecordedReply();
    guest.read(3L * BLOCK, 3 * BLOCK, reply);
    answerUntilDone(reply);
    byte[] expected = bytes(3 * BLOCK, ORIGIN);
    Arrays.fill(expected, BLOCK, 2 * BLOCK, (byte) 9);
    assertThat(reply.bytes()).isEqualTo(expected);
  }

  @Test
  void aWriteOfAPartOfAMissingBlockFindsTheDiskFullAtOnce() throws IOException {
    Volume volume = onAFullDisk();
    RecordedReply reply = new RecordedReply();
    open(volume, 7).write(3L * BLOCK + 100, filled(100, 9), false, reply);
    answerUntilDone(reply);
    assertThat(reply.outcome()).isEqualTo("ENOSPC");
    assertThat(volume.failure()).isNull();
  }

  @Test
  void aWriteOfAPartOfAMissingBlockFailsOnlyIfThereIsReallyNoSpace() throws IOException {
    Volume volume = onAFullDisk();
    fixture.file().setFull(false);
    RecordedReply reply = new RecordedReply();
    open(volume, 7).write(3L * BLOCK + 100, filled(100, 9), false, reply);
    answerUntilDone(reply);
    assertThat(reply.outcome()).isEqualTo("ok");
    byte[] expected = bytes(BLOCK, ORIGIN);
    Arrays.fill(expected, 100, 200, (byte) 9);
    assertThat(Arrays.copyOfRange(fixture.file().content(), 3 * BLOCK, 4 * BLOCK))
        .isEqualTo(expected);
  }

  @Test
  void aReadOnAFullDiskWaitsForTheLink() throws IOException {
    Volume volume = onAFullDisk();
    RecordedReply reply = new RecordedReply();
    open(volume, 7).read(3L * BLOCK, BLOCK, reply);
    fixture.peer.cut();
    fixture.run(Duration.ofSeconds(5));
    assertThat(reply.outcome()).isNull();
    assertThat(volume.status().fetch().waiting()).isEqualTo(1);
    assertThat(volume.status().waitingFor()).contains("link");
    fixture.peer.repair();
    volume.linkUp("a");
    answerUntilDone(reply);
    assertThat(reply.bytes()).hasSize(BLOCK).containsOnly(ORIGIN);
  }

  @Test
  void r10AReadOnAFullDiskIsAskedAgainWhenTheOriginRefuses() throws IOException {
    Volume volume = onAFullDisk();
    RecordedReply reply = new RecordedReply();
    open(volume, 7).read(3L * BLOCK, BLOCK, reply);
    FakeLink.Call call = fixture.peer.reads(Role.DEMAND).get(0);
    call.refuse(Refused.Code.FAILED);
    call.end();
    assertThat(reply.outcome()).isNull();
    fixture.run(Duration.ofSeconds(2));
    answerUntilDone(reply);
    assertThat(reply.bytes()).hasSize(BLOCK).containsOnly(ORIGIN);
  }

  /** A handover in the middle of a read on a full disk: it is looked at again in the new state. */
  @Test
  void aHandoverTakesAReadOnAFullDiskAlong() throws IOException {
    Volume volume = onAFullDisk();
    RecordedReply missing = new RecordedReply();
    RecordedReply mixed = new RecordedReply();
    NbdSession guest = open(volume, 7);
    guest.read(3L * BLOCK, BLOCK, missing);
    fixture.file().hold();
    guest.read(BLOCK, 2 * BLOCK, mixed);
    boolean[] quiet = new boolean[1];
    volume.quiesce(error -> quiet[0] = error == null);
    List<FakeLink.Call> late = fixture.peer.reads(Role.DEMAND);
    late.forEach(FetchedVolumeTest::answer);
    assertThat(quiet[0]).as("while the file is read").isFalse();
    fixture.file().flow();
    fixture.run();
    assertThat(quiet[0]).isTrue();
    assertThat(List.of(missing.bytes(), mixed.bytes())).allMatch(read -> read.length == 0);
    volume.resume();
    fixture.run();
    for (RecordedReply reply : List.of(missing, mixed)) {
      answerUntilDone(reply);
      assertThat(reply.outcome()).isEqualTo("ok");
    }
    assertThat(missing.bytes()).hasSize(BLOCK).containsOnly(ORIGIN);
    assertThat(mixed.bytes()).hasSize(2 * BLOCK).endsWith(bytes(BLOCK, ORIGIN));
  }

  @Test
  void aPeerReadsThroughAReplicaWhoseDiskIsFull() throws IOException {
    Volume volume = onAFullDisk();
    List<byte[]> answers = new ArrayList<>();
    volume
        .peerReads()
        .read(
            BLOCK,
            2 * BLOCK,
            Unpooled.buffer(2 * BLOCK),
            (data, error) -> {
              byte[] bytes = new byte[data.readableBytes()];
              data.readBytes(bytes);
              answers.add(bytes);
            });
    fixture.peer.reads(Role.DEMAND).forEach(FetchedVolumeTest::answer);
    fixture.run();
    byte[] expected = bytes(2 * BLOCK, ORIGIN);
    Arrays.fill(expected, 0, BLOCK, (byte) 0);
    assertThat(answers).containsExactly(expected);
  }

  @Test
  void aBlockThatIsAHoleOnlyInPartIsFetched() throws IOException {
    Volume volume = fixture.fetching(SIZE, 0);
    FakeLink.Call call = fixture.peer.holesCall();
    call.holes(SIZE, BLOCK + 512L, 2L * BLOCK);
    call.end();
    fixture.run();
    assertThat(volume.status().present()).as("the one whole block of it").isEqualTo(BLOCK);
    for (int turns = 0; turns < 20 && volume.record().state() != VolumeState.SERVING; turns++) {
      fixture.peer.calls().forEach(FetchedVolumeTest::answer);
      fixture.run();
    }
    byte[] expected = bytes(SIZE, ORIGIN);
    Arrays.fill(expected, 2 * BLOCK, 3 * BLOCK, (byte) 0);
    assertThat(fixture.file().content()).isEqualTo(expected);
  }

  /** A hole takes no space: that one was stored says nothing about the disk. */
  @Test
  void holesAreStoredOnAFullDiskAndTheCopyStaysAlone() throws IOException {
    Volume volume = fixture.fetching(100L * REGION, 0);
    fixture.file().setFull(true);
    fixture.peer.reads(Role.BULK).forEach(FetchedVolumeTest::answer);
    fixture.run(Duration.ofMillis(1500));
    assertThat(fixture.peer.reads(Role.BULK)).as("one tries").hasSize(1);
    FakeLink.Call call = fixture.peer.reads(Role.BULK).get(0);
    Read read = call.request().getRead();
    call.zeroes(read.getOffset(), read.getLength());
    call.end();
    fixture.run();
    assertThat(volume.status().present()).isEqualTo(read.getLength());
    assertThat(fixture.peer.reads(Role.BULK)).as("the next one").hasSize(1);
    assertThat(volume.status().waitingFor()).contains("space");
  }

  /** The end of an answer comes before the disk is done with its data. */
  @Test
  void theCopyGoesOnWhenASlowDiskHasSpaceAgain() throws IOException {
    Volume volume = onAFullDisk();
    fixture.file().setFull(false);
    fixture.file().hold();
    fixture.run(Duration.ofMillis(1500));
    for (int turns = 0; turns < 20 && volume.record().state() != VolumeState.SERVING; turns++) {
      fixture.peer.reads(Role.BULK).forEach(FetchedVolumeTest::answer);
      fixture.file().flow();
      fixture.file().hold();
      fixture.run(Duration.ofMillis(200));
    }
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
