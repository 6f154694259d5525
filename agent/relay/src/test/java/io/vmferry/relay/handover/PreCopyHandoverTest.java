// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.handover;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.protobuf.ByteString;
import io.vmferry.api.AttachStandby;
import io.vmferry.api.Epoch;
import io.vmferry.api.Problem;
import io.vmferry.api.ProblemException;
import io.vmferry.api.VolumeState;
import io.vmferry.api.VolumeStatus;
import io.vmferry.config.PreCopyMode;
import io.vmferry.nbd.NbdSession;
import io.vmferry.relay.peer.WireIds;
import io.vmferry.relay.peer.wire.Frame;
import io.vmferry.relay.peer.wire.PreCopy;
import io.vmferry.relay.peer.wire.Read;
import io.vmferry.relay.peer.wire.Refused;
import io.vmferry.relay.volume.RecordedReply;
import io.vmferry.relay.volume.Volume;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;

/** Copying before the handover, between real relays. */
final class PreCopyHandoverTest {
  private static final String VOL = "vol";
  private static final int BLOCK = 4096;
  private static final int WRITES = 40;

  private final Nodes nodes = new Nodes();

  PreCopyHandoverTest() throws Exception {}

  private Volume copied(PreCopyMode mode) {
    nodes.b.preCopy(mode);
    nodes.createFull(nodes.a, VOL);
    Volume standby = nodes.attach(nodes.b, VOL);
    nodes.until(() -> standby.status().present() == Nodes.SIZE);
    return standby;
  }

  /** A guest at a writes a value into blocks. */
  private void write(long block, int blocks, int value) {
    NbdSession guest = Nodes.open(nodes.a.volume(VOL), 50);
    RecordedReply reply = Nodes.write(guest, block * BLOCK, blocks * BLOCK, value);
    nodes.until(() -> "ok".equals(reply.outcome()));
    guest.closed(true);
  }

  /** Bytes that came over the wire after the takeover, which writes the first block. */
  private VolumeStatus.FetchStatus moved() {
    nodes.move(nodes.b, VOL);
    nodes.until(() -> Nodes.state(nodes.b, VOL) == VolumeState.SERVING);
    return nodes.b.volume(VOL).status().fetch();
  }

  private byte[] content() {
    return nodes.b.storage().file(VOL).content();
  }

  private long staleAtOwner() {
    return nodes.a.volume(VOL).status().replicas().stream()
        .filter(replica -> replica.node().equals("b"))
        .mapToLong(VolumeStatus.ReplicaStatus::stale)
        .findFirst()
        .orElse(-1);
  }

  private Frame.Builder read(long session, long offset, int length) {
    return Frame.newBuilder()
        .setRead(
            Read.newBuilder()
                .setUuid(uuid())
                .setOffset(offset)
                .setLength(length)
                .setPreCopy(session));
  }

  private ByteString uuid() {
    return WireIds.bytes(nodes.a.volume(VOL).record().uuid());
  }

  @Test
  void onlyWhatWasWrittenMeanwhileMovesAfterTheTakeover() {
    copied(PreCopyMode.HOT_LAST);
    assertThat(staleAtOwner()).isZero();
    write(100, 3, 9);
    assertThat(staleAtOwner()).isEqualTo(3 * BLOCK);
    VolumeStatus.FetchStatus fetch = moved();
    assertThat(fetch.demand() + fetch.background()).isEqualTo(3 * BLOCK);
    byte[] expected = new byte[Nodes.SIZE];
    Arrays.fill(expected, (byte) 1);
    Arrays.fill(expected, 100 * BLOCK, 103 * BLOCK, (byte) 9);
    assertThat(content()).isEqualTo(expected);
  }

  @Test
  void aStandbyBeginsAnewWhenItsOwnerWasRestarted() throws Exception {
    Volume standby = copied(PreCopyMode.HOT_LAST);
    nodes.kill(nodes.a);
    nodes.revive(nodes.a);
    assertThat(staleAtOwner()).as("nothing is known").isEqualTo(-1);
    nodes.until(() -> staleAtOwner() == 0 && standby.status().present() == Nodes.SIZE);
    VolumeStatus.FetchStatus fetch = moved();
    assertThat(fetch.demand() + fetch.background()).isZero();
  }

  @Test
  void aRestartedOwnerKnowsNothingSoEverythingMoves() throws Exception {
    copied(PreCopyMode.HOT_LAST);
    nodes.b.dropLinkListeners();
    nodes.kill(nodes.a);
    nodes.revive(nodes.a);
    write(100, 1, 9);
    VolumeStatus.FetchStatus fetch = moved();
    assertThat(fetch.demand() + fetch.background()).isEqualTo(Nodes.SIZE - BLOCK);
    assertThat(content()[100 * BLOCK]).isEqualTo((byte) 9);
  }

  @Test
  void aRestartedStandbyBeginsAnew() throws Exception {
    copied(PreCopyMode.HOT_LAST);
    assertThat(nodes.b.storage().record(VOL).held().name()).isEqualTo("NONE");
    nodes.kill(nodes.b);
    nodes.revive(nodes.b);
    assertThat(nodes.b.volume(VOL).status().present()).isZero();
    nodes.until(() -> nodes.b.volume(VOL).status().present() == Nodes.SIZE);
    VolumeStatus.FetchStatus fetch = moved();
    assertThat(fetch.demand() + fetch.background()).isZero();
  }

  @Test
  void attachedAgainItKeepsWhatItHas() {
    copied(PreCopyMode.HOT_LAST);
    nodes.attach(nodes.b, VOL);
    nodes.attach(nodes.b, VOL);
    nodes.run(Duration.ofSeconds(1));
    assertThat(nodes.b.storage().record(VOL).held().name()).as("no copy yet").isEqualTo("NONE");
    assertThat(staleAtOwner()).isZero();
    VolumeStatus.FetchStatus fetch = moved();
    assertThat(fetch.demand() + fetch.background()).isZero();
  }

  @Test
  void aReadThatComesLateIsRefusedAndHidesNoWrite() {
    copied(PreCopyMode.HOT_LAST);
    long session = nodes.b.volume(VOL).preCopy().session();
    nodes.ask(
        nodes.a,
        "b",
        Frame.newBuilder()
            .setPreCopy(
                PreCopy.newBuilder()
                    .setUuid(uuid())
                    .setEpoch(WireIds.epoch(new Epoch(1, "a")))
                    .setContinues(session)));
    write(100, 1, 9);
    assertThat(staleAtOwner()).isEqualTo(BLOCK);
    Frame late = nodes.ask(nodes.a, "b", read(session, 100 * BLOCK, BLOCK)).only();
    assertThat(late.getRefused().getCode()).isEqualTo(Refused.Code.WRONG_EPOCH);
    assertThat(staleAtOwner()).isEqualTo(BLOCK);
  }

  @Test
  void aWriteWhileABlockIsReadForTheStandbyIsNotMissed() {
    copied(PreCopyMode.HOT_LAST);
    long session = nodes.b.volume(VOL).preCopy().session();
    NbdSession guest = Nodes.open(nodes.a.volume(VOL), 50);
    // The disk takes its time for both, so that either may be the first to end.
    for (int block = 0; block < WRITES; block++) {
      Nodes.Answers read = nodes.begin(nodes.a, "b", read(session, (long) block * BLOCK, BLOCK));
      nodes.time.run(Duration.ZERO);
      RecordedReply write = Nodes.write(guest, (long) block * BLOCK, BLOCK, 9);
      nodes.until(() -> read.ended && "ok".equals(write.outcome()));
    }
    assertThat(staleAtOwner()).isEqualTo((long) WRITES * BLOCK);
  }

  @Test
  void aSessionIsTheStandbysOwn() {
    copied(PreCopyMode.HOT_LAST);
    long session = nodes.b.volume(VOL).preCopy().session();
    Frame other = nodes.ask(nodes.a, "c", read(session, 0, BLOCK)).only();
    assertThat(other.getRefused().getCode()).isEqualTo(Refused.Code.WRONG_EPOCH);
  }

  @Test
  void itIsRefusedByWhoIsNotTheOwnerInThatEpoch() {
    copied(PreCopyMode.HOT_LAST);
    Frame wrong =
        nodes
            .ask(
                nodes.a,
                "b",
                Frame.newBuilder()
                    .setPreCopy(
                        PreCopy.newBuilder()
                            .setUuid(uuid())
                            .setEpoch(WireIds.epoch(new Epoch(7, "a")))))
            .only();
    assertThat(wrong.getRefused().getCode()).isEqualTo(Refused.Code.WRONG_EPOCH);
    moved();
    Frame released = nodes.ask(nodes.a, "b", read(5, 0, BLOCK)).only();
    assertThat(released.getRefused().getCode()).isEqualTo(Refused.Code.WRONG_EPOCH);
  }

  @Test
  void aDroppedStandbyIsForgotten() {
    copied(PreCopyMode.HOT_LAST);
    nodes.await(nodes.b.attacher().drop(Nodes.DOMAIN));
    nodes.until(() -> nodes.a.volume(VOL).status().replicas().isEmpty());
  }

  @Test
  void aMigrationMayChooseForItself() {
    nodes.createFull(nodes.a, VOL);
    nodes.await(
        nodes.b.attacher().attach(new AttachStandby(Nodes.DOMAIN, List.of(VOL), null, "full")));
    Volume standby = nodes.b.volume(VOL);
    nodes.until(() -> standby.status().present() == Nodes.SIZE);
    write(0, 2, 9);
    nodes.until(() -> staleAtOwner() == 0);
    nodes.attach(nodes.b, VOL);
    nodes.run(Duration.ofSeconds(1));
    assertThat(standby.preCopy().session()).as("the hook's attach changes nothing").isNotZero();
  }

  @Test
  void anUnknownKindIsRefused() {
    AttachStandby request = new AttachStandby(Nodes.DOMAIN, List.of(VOL), null, "much");
    assertThatThrownBy(() -> nodes.b.attacher().attach(request))
        .isInstanceOfSatisfying(
            ProblemException.class,
            e -> assertThat(e.problem().code()).isEqualTo(Problem.Code.BAD_REQUEST))
        .hasMessageContaining("none, hot-last, full");
  }

  @Test
  void aRetainedCopyIsNotCopiedAgain() {
    copied(PreCopyMode.HOT_LAST);
    moved();
    nodes.a.preCopy(PreCopyMode.FULL);
    Volume back = nodes.attach(nodes.a, VOL);
    nodes.run(Duration.ofSeconds(1));
    assertThat(back.preCopy().session()).isZero();
    assertThat(back.status().present()).isEqualTo(Nodes.SIZE);
  }
}
