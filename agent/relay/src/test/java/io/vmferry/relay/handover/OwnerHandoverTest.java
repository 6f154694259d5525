// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.handover;

import static io.vmferry.relay.handover.Nodes.open;
import static org.assertj.core.api.Assertions.assertThat;

import io.netty.buffer.Unpooled;
import io.vmferry.api.AttachStandby;
import io.vmferry.api.Epoch;
import io.vmferry.api.GuestStatus;
import io.vmferry.api.VolumeState;
import io.vmferry.nbd.NbdSession;
import io.vmferry.relay.map.BlockGrid;
import io.vmferry.relay.map.BlockMap;
import io.vmferry.relay.map.StaleMapCodec;
import io.vmferry.relay.peer.WireIds;
import io.vmferry.relay.peer.wire.Attach;
import io.vmferry.relay.peer.wire.Frame;
import io.vmferry.relay.peer.wire.Refused;
import io.vmferry.relay.peer.wire.Takeover;
import io.vmferry.relay.sim.SimNode;
import io.vmferry.relay.store.DiskErrors;
import io.vmferry.relay.store.MemoryBlockFile.Kind;
import io.vmferry.relay.volume.RecordedReply;
import io.vmferry.relay.volume.Volume;
import io.vmferry.relay.volume.VolumeRecord;
import java.util.ArrayList;
import java.util.List;
import java.util.UUID;
import org.junit.jupiter.api.Test;

/** The source's half of phase 5. */
final class OwnerHandoverTest {
  private static final Epoch FIRST = new Epoch(1, "a");

  private final Nodes nodes = new Nodes();
  private final Volume volume = nodes.create(nodes.a, "vol");

  OwnerHandoverTest() throws Exception {}

  private static Frame.Builder takeover(Epoch epoch, UUID... volumes) {
    Takeover.Builder takeover = Takeover.newBuilder();
    for (UUID each : volumes) {
      takeover.addVolumes(
          Takeover.Volume.newBuilder().setUuid(WireIds.bytes(each)).setEpoch(WireIds.epoch(epoch)));
    }
    return Frame.newBuilder().setTakeover(takeover);
  }

  private Frame.Builder takeover() {
    return takeover(FIRST, volume.record().uuid());
  }

  private void refused(Frame.Builder request, Refused.Code code) {
    Refused refused = nodes.ask(nodes.a, "b", request).only().getRefused();
    assertThat(refused.getCode()).as(refused.getMessage()).isEqualTo(code);
    assertThat(refused.getMessage()).isNotEmpty();
  }

  private void stillServes() {
    NbdSession guest = open(volume, 50);
    RecordedReply reply = Nodes.write(guest, 0, 512, 1);
    nodes.until(() -> "ok".equals(reply.outcome()));
    assertThat(volume.record().state()).isEqualTo(VolumeState.SERVING);
    guest.closed(true);
  }

  @Test
  void releasesDurablyAndAnswersWithTheStaleMap() throws Exception {
    Nodes.Answers answers = nodes.ask(nodes.a, "b", takeover());

    var released = answers.only().getTakenOver().getVolumes(0);
    assertThat(WireIds.epoch(released.getEpoch())).isEqualTo(new Epoch(2, "b"));
    BlockMap stale =
        StaleMapCodec.decode(
            Unpooled.wrappedBuffer(answers.payloads.get(0)), volume.grid().blocks());
    assertThat(stale.cardinality()).isEqualTo(volume.grid().blocks());
    assertThat(nodes.a.storage().record("vol").state()).isEqualTo(VolumeState.RELEASED);
  }

  @Test
  void theSameAnswerIsGivenAgainToTheSamePeer() {
    Nodes.Answers first = nodes.ask(nodes.a, "b", takeover());
    Nodes.Answers second = nodes.ask(nodes.a, "b", takeover());
    assertThat(second.only()).isEqualTo(first.only());
    assertThat(second.payloads.get(0)).isEqualTo(first.payloads.get(0));
    Refused other = nodes.ask(nodes.a, "c", takeover()).only().getRefused();
    assertThat(other.getCode()).isEqualTo(Refused.Code.NOT_OWNER);
  }

  @Test
  void theSameAnswerIsGivenAfterARestart() throws Exception {
    Nodes.Answers first = nodes.ask(nodes.a, "b", takeover());
    nodes.a.kill();
    nodes.a.start();
    assertThat(nodes.ask(nodes.a, "b", takeover()).only()).isEqualTo(first.only());
  }

  @Test
  void aVolumeThatIsFetchedFromAServerStays() {
    VolumeRecord.Source from = new VolumeRecord.Source("nbd://server/disk", null);
    nodes.await(nodes.a.volumes().create("fetched", Nodes.SIZE, from));
    Volume fetched = nodes.a.volume("fetched");
    String why = "still copied from nbd://server/disk; move it when 'vmferry status' shows";

    Frame.Builder attach =
        Frame.newBuilder()
            .setAttach(Attach.newBuilder().setUuid(WireIds.bytes(fetched.record().uuid())));
    for (Frame.Builder request : List.of(takeover(FIRST, fetched.record().uuid()), attach)) {
      Refused refused = nodes.ask(nodes.a, "b", request).only().getRefused();
      assertThat(refused.getCode()).isEqualTo(Refused.Code.FAILED);
      assertThat(refused.getMessage()).contains(why);
    }
    AttachStandby standby = new AttachStandby(Nodes.DOMAIN, List.of("fetched"), null);
    assertThat(nodes.problem(nodes.b.attacher().attach(standby)).message()).contains(why);
    assertThat(fetched.record().state()).isEqualTo(VolumeState.FETCHING);
  }

  @Test
  void refusesAnUnknownVolume() {
    refused(takeover(FIRST, new UUID(0, 1)), Refused.Code.NOT_FOUND);
  }

  @Test
  void refusesATakeoverOfNothing() {
    refused(takeover(FIRST), Refused.Code.BAD_REQUEST);
  }

  @Test
  void refusesAnotherEpoch() {
    refused(takeover(new Epoch(2, "a"), volume.record().uuid()), Refused.Code.WRONG_EPOCH);
    refused(takeover(new Epoch(1, "x"), volume.record().uuid()), Refused.Code.WRONG_EPOCH);
    stillServes();
  }

  @Test
  void refusesWhereItIsNotOwner() {
    Volume standby = nodes.attach(nodes.b, "vol");
    Frame answer = nodes.ask(nodes.b, "c", takeover(FIRST, standby.record().uuid())).only();
    assertThat(answer.getRefused().getCode()).isEqualTo(Refused.Code.NOT_OWNER);
    assertThat(answer.getRefused().getMessage()).contains("node a");
  }

  @Test
  void refusesWhileTheGuestRuns() {
    open(volume, 5);
    nodes.a.guest = GuestStatus.State.ACTIVE;
    refused(takeover(), Refused.Code.GUEST_ACTIVE);
    stillServes();
  }

  @Test
  void refusesWhileAnUnknownProcessHasItOpen() {
    open(volume, 5);
    nodes.a.guest = GuestStatus.State.NONE;
    refused(takeover(), Refused.Code.BUSY);
  }

  @Test
  void releasesUnderAGuestThatIsStoppedForMigration() {
    open(volume, 5);
    nodes.a.guest = GuestStatus.State.STOPPED_FOR_MIGRATION;
    assertThat(nodes.ask(nodes.a, "b", takeover()).only().hasTakenOver()).isTrue();
  }

  @Test
  void asksNobodyWhenNoClientIsThere() {
    nodes.a.guest = GuestStatus.State.ACTIVE;
    NbdSession guest = open(volume, 5);
    guest.closed(true);
    assertThat(nodes.ask(nodes.a, "b", takeover()).only().hasTakenOver()).isTrue();
  }

  @Test
  void aClientThatLostItsConnectionStillCounts() {
    nodes.a.guest = GuestStatus.State.ACTIVE;
    open(volume, 5).closed(false);
    refused(takeover(), Refused.Code.GUEST_ACTIVE);
    nodes.a.processEnded(5);
    assertThat(nodes.ask(nodes.a, "b", takeover()).only().hasTakenOver()).isTrue();
  }

  @Test
  void aSecondTakeoverAtTheSameTimeHasToWait() {
    Nodes.Answers first = nodes.begin(nodes.a, "b", takeover());
    Nodes.Answers second = nodes.begin(nodes.a, "c", takeover());
    nodes.until(() -> first.ended && second.ended);
    assertThat(first.only().hasTakenOver()).isTrue();
    assertThat(second.only().getRefused().getCode()).isEqualTo(Refused.Code.BUSY);
  }

  /** What a guest writes from then on would be in no stale map, and durable nowhere. */
  @Test
  void refusesIfTheVolumeGoesOnBeforeItIsReleased() {
    nodes.a.volumes().commits().submit(() -> () -> null, (done, error) -> volume.resume());
    refused(takeover(), Refused.Code.BUSY);
    stillServes();
    assertThat(nodes.ask(nodes.a, "b", takeover()).only().hasTakenOver()).isTrue();
  }

  @Test
  void releasesAllOrNone() {
    Volume other = nodes.create(nodes.a, "other");
    open(other, 5);
    nodes.a.guest = GuestStatus.State.ACTIVE;
    refused(
        takeover(FIRST, volume.record().uuid(), other.record().uuid()), Refused.Code.GUEST_ACTIVE);
    assertThat(Nodes.state(nodes.a, "vol")).isEqualTo(VolumeState.SERVING);
    assertThat(Nodes.state(nodes.a, "other")).isEqualTo(VolumeState.SERVING);

    nodes.a.guest = GuestStatus.State.STOPPED_FOR_MIGRATION;
    Nodes.Answers both =
        nodes.ask(nodes.a, "b", takeover(FIRST, volume.record().uuid(), other.record().uuid()));
    assertThat(both.only().getTakenOver().getVolumesCount()).isEqualTo(2);
    assertThat(Nodes.state(nodes.a, "other")).isEqualTo(VolumeState.RELEASED);
  }

  @Test
  void aFailedCommitLeavesTheOwnerServingAndMayBeRepeated() {
    nodes.a.storage().failNextCommit(DiskErrors.noSpace());
    refused(takeover(), Refused.Code.FAILED);
    stillServes();
    assertThat(nodes.ask(nodes.a, "b", takeover()).only().hasTakenOver()).isTrue();
  }

  @Test
  void aFailedForceReleasesNothing() {
    nodes.a.storage().file("vol").failNext(Kind.FORCE, DiskErrors.io());
    refused(takeover(), Refused.Code.FAILED);
    assertThat(nodes.a.storage().record("vol").state()).isEqualTo(VolumeState.SERVING);
  }

  @Test
  void refusesAVolumeThatIsStopped() {
    nodes.a.storage().file("vol").failNext(Kind.WRITE, DiskErrors.io());
    NbdSession guest = open(volume, 5);
    RecordedReply reply = Nodes.write(guest, 0, 512, 1);
    nodes.until(() -> "EIO".equals(reply.outcome()));
    guest.closed(true);
    refused(takeover(), Refused.Code.FAILED);
  }

  /** A guest starts at {@code to}, writes that block first, and is shut down. */
  private void moveAndWrite(SimNode to, long block) {
    nodes.attach(to, "vol");
    write(to, block);
  }

  private void write(SimNode at, long block) {
    NbdSession guest = open(at.volume("vol"), 51);
    RecordedReply reply = Nodes.write(guest, block * BlockGrid.BLOCK, BlockGrid.BLOCK, 1);
    nodes.until(() -> "ok".equals(reply.outcome()));
    guest.closed(true);
  }

  private void complete(SimNode at) {
    nodes.until(() -> Nodes.state(at, "vol") == VolumeState.SERVING);
  }

  /** What the owner of that epoch answers to the next one; asked again, it says the same. */
  private List<Long> staleAt(SimNode before, SimNode next, long epoch) throws Exception {
    Frame.Builder request =
        takeover(new Epoch(epoch, before.name()), before.volume("vol").record().uuid());
    byte[] map = nodes.ask(before, next.name(), request).payloads.get(0);
    BlockMap stale = StaleMapCodec.decode(Unpooled.wrappedBuffer(map), volume.grid().blocks());
    List<Long> blocks = new ArrayList<>();
    for (long block = stale.nextSet(0); block < stale.blocks(); block = stale.nextSet(block + 1)) {
      blocks.add(block);
    }
    return blocks;
  }

  /** To and fro, each owner tells just what was written while it was one. */
  @Test
  void aReturningReplicaLacksOnlyWhatTheOtherOneWrote() throws Exception {
    write(nodes.a, 1);
    moveAndWrite(nodes.b, 3);
    assertThat(staleAt(nodes.a, nodes.b, 1)).as("new at b").hasSize(Nodes.SIZE / BlockGrid.BLOCK);
    complete(nodes.b);
    write(nodes.b, 4);
    moveAndWrite(nodes.a, 5);
    assertThat(staleAt(nodes.b, nodes.a, 2)).as("b to a").containsExactly(3L, 4L);
    complete(nodes.a);
    write(nodes.a, 6);
    moveAndWrite(nodes.b, 7);
    assertThat(staleAt(nodes.a, nodes.b, 3)).as("a to b").containsExactly(5L, 6L);
    complete(nodes.b);
    moveAndWrite(nodes.a, 8);
    assertThat(staleAt(nodes.b, nodes.a, 4)).as("b to a again").containsExactly(7L);
  }

  /** The returning replica has what the owner never fetched, and what that lacked is not stale. */
  @Test
  void anOwnerThatFetchedNothingTellsOnlyWhatItWrote() throws Exception {
    moveAndWrite(nodes.b, 3);
    complete(nodes.b);
    nodes.attach(nodes.a, "vol");
    write(nodes.a, 5);
    complete(nodes.a);
    moveAndWrite(nodes.b, 7);
    // At once: block 5 is still on its way to b.
    assertThat(nodes.b.volume("vol").heldSnapshot().get(5)).isFalse();
    assertThat(staleAt(nodes.b, nodes.a, 4)).containsExactly(7L);
  }

  /** Without its map, it must not say that the blocks which it never got are stale elsewhere. */
  @Test
  void anOwnerThatLostItsMapAndFetchedNothingTellsOnlyWhatItHolds() throws Exception {
    Nodes.fill(nodes.a, "vol");
    nodes.b.kill();
    nodes.b.capCopy(1L);
    nodes.revive(nodes.b);
    moveAndWrite(nodes.b, 3);
    moveAndWrite(nodes.a, 5);
    nodes.b.losePower();
    nodes.revive(nodes.b);
    assertThat(nodes.b.volume("vol").replicas().stale("a")).as("lost with the power").isNull();
    assertThat(staleAt(nodes.b, nodes.a, 2))
        .contains(3L)
        .hasSizeLessThan(Nodes.SIZE / BlockGrid.BLOCK);
  }
}
