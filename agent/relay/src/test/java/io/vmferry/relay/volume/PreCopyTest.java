// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.volume;

import static io.vmferry.relay.volume.PreCopy.PASSES;
import static io.vmferry.relay.volume.PreCopy.PAUSE;
import static io.vmferry.relay.volume.VolumeFixture.BLOCK;
import static io.vmferry.relay.volume.VolumeFixture.bytes;
import static io.vmferry.relay.volume.VolumeFixture.open;
import static org.assertj.core.api.Assertions.assertThat;

import io.netty.buffer.Unpooled;
import io.vmferry.api.VolumeState;
import io.vmferry.config.PreCopyMode;
import io.vmferry.relay.copy.FakeLink;
import io.vmferry.relay.map.BlockMap;
import io.vmferry.relay.map.HeapBlockMap;
import io.vmferry.relay.map.HeatRanks;
import io.vmferry.relay.peer.wire.PreCopy;
import io.vmferry.relay.peer.wire.Read;
import io.vmferry.relay.peer.wire.Refused;
import io.vmferry.relay.peer.wire.Role;
import io.vmferry.relay.store.DiskErrors;
import io.vmferry.relay.store.MemoryBlockFile.Kind;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;

/** A standby that copies before the handover, from an owner that the test plays. */
final class PreCopyTest {
  private static final int BLOCKS = 1024;
  private static final int SIZE = BLOCKS * BLOCK;
  private static final int OWNERS = 111;
  private static final int NEWER = 112;

  private final VolumeFixture fixture = new VolumeFixture();
  private final Volume volume = fixture.standby(SIZE);
  private final FakeLink owner = fixture.peer;

  private static BlockMap stale(long from, long to) {
    BlockMap map = HeapBlockMap.allClear(BLOCKS);
    map.set(from, to);
    return map;
  }

  private PreCopy begun() {
    assertThat(owner.preCopyCalls()).hasSize(1);
    return owner.preCopyCalls().get(0).request().getPreCopy();
  }

  private void answerBegin(long session, BlockMap stale) {
    FakeLink.Call call = owner.preCopyCalls().get(0);
    call.preCopying(session, stale);
    call.end();
  }

  /** The owner has no hole and knows of no use, or of what was given. */
  private void answerHoles(Long... holes) {
    FakeLink.Call call = owner.holesCall();
    call.holes((long) SIZE, holes);
    call.end();
  }

  private void beginAnew(PreCopyMode mode) {
    volume.preCopy().mode(mode);
    answerBegin(77, HeapBlockMap.allSet(BLOCKS));
    answerHoles();
  }

  private static void answer(FakeLink.Call call, int value) {
    Read read = call.request().getRead();
    call.data(read.getOffset(), bytes(read.getLength(), value));
    call.end();
  }

  private List<FakeLink.Call> reads() {
    return owner.reads(Role.BULK);
  }

  /** Answers all reads; returns the first blocks of the ranges in the order they were asked for. */
  private List<Long> copyAll(int value) {
    List<Long> places = new ArrayList<>();
    while (!reads().isEmpty()) {
      FakeLink.Call call = reads().get(0);
      places.add(call.request().getRead().getOffset() / BLOCK);
      answer(call, value);
      fixture.run();
    }
    return places;
  }

  private long present() {
    return volume.status().present();
  }

  @Test
  void byDefaultNothingIsAskedFor() {
    assertThat(owner.calls()).isEmpty();
    volume.preCopy().mode(PreCopyMode.NONE);
    assertThat(owner.calls()).isEmpty();
  }

  @Test
  void everyBlockComesOnceAfterTheHolesInTheSession() {
    volume.preCopy().mode(PreCopyMode.HOT_LAST);
    assertThat(begun().getContinues()).isZero();
    assertThat(begun().getEpoch().getNumber()).isEqualTo(1);
    answerBegin(77, HeapBlockMap.allSet(BLOCKS));
    assertThat(reads()).as("nothing is asked for beside the holes").isEmpty();
    assertThat(owner.holesCall().request().getHoles().getPreCopy()).isEqualTo(77);
    answerHoles(0L, 100L * BLOCK);
    assertThat(reads().get(0).request().getRead().getPreCopy()).isEqualTo(77);
    assertThat(reads().get(0).request().getRead().getOffset()).isEqualTo(100L * BLOCK);
    copyAll(OWNERS);
    assertThat(present()).isEqualTo(SIZE);
    fixture.run(Duration.ofMinutes(1));
    assertThat(owner.preCopyCalls()).as("once").isEmpty();
  }

  /** A hole of the second answer could else be stored beside a read of what was written there. */
  @Test
  void nothingIsReadUntilTheLastHoleIsKnown() {
    volume.preCopy().mode(PreCopyMode.HOT_LAST);
    answerBegin(77, HeapBlockMap.allSet(BLOCKS));
    FakeLink.Call first = owner.holesCall();
    first.holes(SIZE / 2, 0L, 100L * BLOCK);
    first.end();
    fixture.run(Duration.ofMillis(100));
    assertThat(present()).as("the first holes are here").isEqualTo(100 * BLOCK);
    assertThat(reads()).isEmpty();
    answerHoles();
    fixture.run();
    assertThat(reads()).isNotEmpty();
  }

  @Test
  void whatIsHereIsNoCopyBeforeTheTakeover() {
    beginAnew(PreCopyMode.HOT_LAST);
    copyAll(OWNERS);
    assertThat(volume.record().state()).isEqualTo(VolumeState.STANDBY);
    assertThat(volume.record().held()).isEqualTo(VolumeRecord.Held.NONE);
    RecordedReply reply = new RecordedReply();
    open(volume, 7).read(0, BLOCK, reply);
    assertThat(owner.reads(Role.DEMAND)).as("a guest reads what the owner has now").hasSize(1);
    List<String> answers = new ArrayList<>();
    volume
        .peerReads()
        .read(
            0,
            BLOCK,
            Unpooled.buffer(BLOCK),
            (data, error) -> answers.add(data == null ? "none" : "data"));
    assertThat(answers).as("another node gets nothing of it").containsExactly("none");
  }

  @Test
  void theColdestBlocksComeFirst() {
    volume.preCopy().mode(PreCopyMode.HOT_LAST);
    answerBegin(77, HeapBlockMap.allSet(BLOCKS));
    FakeLink.Call holes = owner.holesCall();
    holes.holes((long) SIZE);
    // The first requests go out with the holes' end; the heat orders the rest.
    holes.end();
    FakeLink.Call heat = owner.heatCall();
    assertThat(heat.request().getHeat().getPreCopy()).isEqualTo(77);
    byte[] ranks = new byte[16];
    Arrays.fill(ranks, HeatRanks.NEVER);
    for (int region = 8; region < 12; region++) {
      ranks[region] = 0;
    }
    heat.heat(new HeatRanks(18, ranks));
    heat.end();
    List<Long> places = copyAll(OWNERS);
    assertThat(places.subList(places.size() - 4, places.size()))
        .allMatch(block -> block >= 8 * 64 && block < 12 * 64);
    assertThat(present()).isEqualTo(SIZE);
  }

  @Test
  void hotLastLeavesOutWhatIsWrittenAgain() {
    beginAnew(PreCopyMode.HOT_LAST);
    answer(reads().get(0), OWNERS);
    owner.cut();
    owner.repair();
    volume.linkUp("a");
    assertThat(begun().getContinues()).isEqualTo(77);
    answerBegin(78, stale(0, BLOCKS / 2));
    assertThat(present()).as("what was written since is given up").isZero();
    List<Long> places = copyAll(OWNERS);
    assertThat(places).as("and not asked for again").doesNotContain(0L);
    assertThat(present()).isLessThan(SIZE).isGreaterThan(SIZE / 2);
  }

  @Test
  void fullCopiesAgainWhatWasWrittenAndComesToAnEnd() {
    beginAnew(PreCopyMode.FULL);
    copyAll(OWNERS);
    int passes = 1;
    fixture.run(PAUSE.plusMillis(1));
    for (; !owner.preCopyCalls().isEmpty(); passes++) {
      assertThat(present()).isEqualTo(SIZE);
      answerBegin(77 + passes, stale(8, 16));
      assertThat(present()).isEqualTo(SIZE - 8L * BLOCK);
      assertThat(copyAll(NEWER)).containsExactly(8L);
      fixture.run(PAUSE.plusMillis(1));
    }
    assertThat(passes).isEqualTo(PASSES);
    assertThat(Arrays.copyOfRange(fixture.file().content(), 8 * BLOCK, 16 * BLOCK))
        .containsOnly(NEWER);
  }

  @Test
  void aLostReadEndsTheSessionAndTheNextBeginsWhenAllIsQuiet() {
    beginAnew(PreCopyMode.FULL);
    assertThat(reads().size()).isGreaterThan(1);
    reads().get(0).lose();
    fixture.run(Duration.ofSeconds(3));
    assertThat(owner.preCopyCalls()).as("others are still under way").isEmpty();
    List<FakeLink.Call> left = reads();
    left.forEach(call -> answer(call, OWNERS));
    assertThat(reads()).as("nothing more is asked for in a session with a loss").isEmpty();
    fixture.run(Duration.ofSeconds(3));
    assertThat(begun().getContinues()).isEqualTo(77);
    answerBegin(78, stale(0, 1));
    assertThat(reads()).isNotEmpty();
    assertThat(reads()).allMatch(call -> call.request().getRead().getPreCopy() == 78);
  }

  @Test
  void anOwnerThatWasRestartedMakesItBeginAnew() {
    beginAnew(PreCopyMode.FULL);
    copyAll(OWNERS);
    assertThat(present()).isEqualTo(SIZE);
    fixture.run(PAUSE.plusMillis(1));
    answerBegin(5, HeapBlockMap.allSet(BLOCKS));
    assertThat(present()).isZero();
    answerHoles();
    copyAll(NEWER);
    assertThat(present()).isEqualTo(SIZE);
    assertThat(fixture.file().content()).containsOnly(NEWER);
  }

  @Test
  void anOwnerThatKnowsNoPreCopyIsAskedOnce() {
    volume.preCopy().mode(PreCopyMode.FULL);
    owner.preCopyCalls().get(0).refuse(Refused.Code.UNSUPPORTED);
    owner.preCopyCalls().get(0).end();
    fixture.run(Duration.ofMinutes(1));
    assertThat(owner.calls()).isEmpty();
  }

  @Test
  void anOwnerThatRefusesIsAskedAgainLater() {
    volume.preCopy().mode(PreCopyMode.FULL);
    owner.preCopyCalls().get(0).refuse(Refused.Code.BUSY);
    owner.preCopyCalls().get(0).end();
    fixture.run(Duration.ofSeconds(4));
    assertThat(owner.calls()).isEmpty();
    fixture.run(Duration.ofSeconds(2));
    assertThat(begun().getContinues()).isZero();
  }

  @Test
  void whatComesAfterTheTakeoverBeganIsNotHeld() {
    beginAnew(PreCopyMode.HOT_LAST);
    answer(reads().get(0), OWNERS);
    long before = present();
    assertThat(before).isPositive();
    volume.quiesce(error -> {});
    List<FakeLink.Call> late = reads();
    assertThat(late).isNotEmpty();
    late.forEach(call -> answer(call, OWNERS));
    fixture.run();
    assertThat(present()).isEqualTo(before);
    assertThat(reads()).isEmpty();
  }

  @Test
  void aTakeoverThatFailedBeginsAnew() {
    beginAnew(PreCopyMode.HOT_LAST);
    copyAll(OWNERS);
    volume.quiesce(error -> {});
    volume.resume();
    assertThat(begun().getContinues()).isZero();
  }

  @Test
  void aFullDiskEndsIt() {
    beginAnew(PreCopyMode.FULL);
    fixture.file().failNext(Kind.WRITE, DiskErrors.noSpace());
    answer(reads().get(0), OWNERS);
    fixture.run(Duration.ofMinutes(1));
    reads().forEach(call -> answer(call, OWNERS));
    fixture.run(Duration.ofMinutes(1));
    assertThat(reads()).isEmpty();
    assertThat(owner.preCopyCalls()).isEmpty();
    assertThat(volume.failure()).isNull();
  }
}
