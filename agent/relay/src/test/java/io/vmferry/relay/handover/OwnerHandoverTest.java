// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.handover;

import static io.vmferry.relay.handover.Nodes.open;
import static org.assertj.core.api.Assertions.assertThat;

import io.netty.buffer.Unpooled;
import io.vmferry.api.Epoch;
import io.vmferry.api.GuestStatus;
import io.vmferry.api.VolumeState;
import io.vmferry.nbd.NbdSession;
import io.vmferry.relay.map.BlockMap;
import io.vmferry.relay.map.StaleMapCodec;
import io.vmferry.relay.peer.WireIds;
import io.vmferry.relay.peer.wire.Frame;
import io.vmferry.relay.peer.wire.Refused;
import io.vmferry.relay.peer.wire.Takeover;
import io.vmferry.relay.store.DiskErrors;
import io.vmferry.relay.store.MemoryBlockFile.Kind;
import io.vmferry.relay.volume.RecordedReply;
import io.vmferry.relay.volume.Volume;
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
}
