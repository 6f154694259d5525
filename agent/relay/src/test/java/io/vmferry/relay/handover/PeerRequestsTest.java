// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.handover;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.protobuf.ByteString;
import io.netty.buffer.Unpooled;
import io.vmferry.api.Epoch;
import io.vmferry.api.VolumeState;
import io.vmferry.nbd.NbdSession;
import io.vmferry.relay.map.HeatCodec;
import io.vmferry.relay.map.HeatRanks;
import io.vmferry.relay.map.MalformedMapException;
import io.vmferry.relay.peer.WireIds;
import io.vmferry.relay.peer.wire.Attach;
import io.vmferry.relay.peer.wire.Complete;
import io.vmferry.relay.peer.wire.Detach;
import io.vmferry.relay.peer.wire.Frame;
import io.vmferry.relay.peer.wire.Heat;
import io.vmferry.relay.peer.wire.HoleList;
import io.vmferry.relay.peer.wire.Holes;
import io.vmferry.relay.peer.wire.Locate;
import io.vmferry.relay.peer.wire.Ping;
import io.vmferry.relay.peer.wire.Read;
import io.vmferry.relay.peer.wire.Refused;
import io.vmferry.relay.peer.wire.Role;
import io.vmferry.relay.peer.wire.Takeover;
import io.vmferry.relay.volume.Volume;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.UUID;
import org.junit.jupiter.api.Test;

final class PeerRequestsTest {
  private static final Epoch RELEASED = new Epoch(2, "b");

  private final Nodes nodes = new Nodes();
  private final Volume volume = nodes.create(nodes.a, "vol");
  private final ByteString uuid = WireIds.bytes(volume.record().uuid());

  PeerRequestsTest() throws Exception {}

  private Frame.Builder read(Epoch epoch, long offset, int length) {
    Read.Builder read = Read.newBuilder().setUuid(uuid).setOffset(offset).setLength(length);
    if (epoch != null) {
      read.setEpoch(WireIds.epoch(epoch));
    }
    return Frame.newBuilder().setRead(read);
  }

  private Frame.Builder holes(Epoch epoch, long offset, int most) {
    return Frame.newBuilder()
        .setHoles(
            Holes.newBuilder()
                .setUuid(uuid)
                .setEpoch(WireIds.epoch(epoch))
                .setOffset(offset)
                .setMaxExtents(most));
  }

  private void refused(String peer, Frame.Builder request, Refused.Code code) {
    Frame answer = nodes.ask(nodes.a, peer, request).only();
    assertThat(answer.getRefused().getCode()).as("%s", answer).isEqualTo(code);
  }

  private void granted(String peer, Frame.Builder request) {
    assertThat(nodes.ask(nodes.a, peer, request).frames)
        .allSatisfy(frame -> assertThat(frame.hasRefused()).as("%s", frame).isFalse());
  }

  @Test
  void anOwnersContentIsForWhoNamesNoEpoch() {
    granted("c", read(null, 0, 4096));
    refused("c", read(new Epoch(1, "a"), 0, 4096), Refused.Code.WRONG_EPOCH);
  }

  @Test
  void aReleasedReplicasContentIsForItsOwnerAndItsEpoch() {
    nodes.move(nodes.b, "vol");
    granted("b", read(RELEASED, 0, 4096));
    granted("b", read(null, 0, 4096));
    refused("c", read(null, 0, 4096), Refused.Code.WRONG_EPOCH);
    refused("b", read(new Epoch(1, "a"), 0, 4096), Refused.Code.WRONG_EPOCH);
    refused("b", read(new Epoch(3, "b"), 0, 4096), Refused.Code.WRONG_EPOCH);
  }

  @Test
  void readsOnlyInsideOfTheVolume() {
    granted("b", read(null, Nodes.SIZE - 1, 1));
    refused("b", read(null, Nodes.SIZE, 1), Refused.Code.BAD_REQUEST);
    refused("b", read(null, Nodes.SIZE - 1, 2), Refused.Code.BAD_REQUEST);
    refused("b", read(null, -1, 1), Refused.Code.BAD_REQUEST);
    refused("b", read(null, Long.MAX_VALUE, 1), Refused.Code.BAD_REQUEST);
    refused("b", read(null, 0, 0), Refused.Code.BAD_REQUEST);
    refused("b", read(null, 0, -1), Refused.Code.BAD_REQUEST);
    refused("b", read(null, 0, (1 << 20) + 1), Refused.Code.BAD_REQUEST);
  }

  @Test
  void anUnknownVolumeIsNotFound() {
    ByteString other = WireIds.bytes(new UUID(0, 9));
    refused(
        "b",
        Frame.newBuilder().setRead(Read.newBuilder().setUuid(other).setLength(1)),
        Refused.Code.NOT_FOUND);
    refused(
        "b",
        Frame.newBuilder().setAttach(Attach.newBuilder().setUuid(other)),
        Refused.Code.NOT_FOUND);
  }

  @Test
  void aBadUuidIsABadRequest() {
    refused(
        "b",
        Frame.newBuilder().setAttach(Attach.newBuilder().setUuid(ByteString.copyFromUtf8("x"))),
        Refused.Code.BAD_REQUEST);
  }

  @Test
  void anUnknownRequestIsUnsupported() {
    refused("b", Frame.newBuilder().setPing(Ping.getDefaultInstance()), Refused.Code.UNSUPPORTED);
  }

  @Test
  void holesAreListedInParts() {
    for (int block = 1; block < 20; block += 2) {
      nodes
          .a
          .storage()
          .file("vol")
          .write(block * 4096L, Unpooled.wrappedBuffer(new byte[4096]), error -> {});
    }
    nodes.move(nodes.b, "vol");
    List<Long> holes = new ArrayList<>();
    long next = 0;
    int parts = 0;
    while (next < Nodes.SIZE) {
      HoleList part = nodes.ask(nodes.a, "b", holes(RELEASED, next, 3)).only().getHoleList();
      assertThat(part.getExtentsCount()).isLessThanOrEqualTo(6);
      assertThat(part.getNextOffset()).isGreaterThan(next);
      for (int i = 0; i < part.getExtentsCount(); i += 2) {
        holes.add(part.getExtents(i));
      }
      next = part.getNextOffset();
      parts++;
    }
    assertThat(holes).hasSize(11).startsWith(0L, 8192L);
    assertThat(parts).isGreaterThan(3);
  }

  @Test
  void theHolesOfAnotherEpochAreNotForAnybody() {
    refused("b", holes(new Epoch(1, "a"), 0, 3), Refused.Code.WRONG_EPOCH);
    nodes.move(nodes.b, "vol");
    refused("b", holes(RELEASED, Nodes.SIZE + 1, 3), Refused.Code.BAD_REQUEST);
    assertThat(nodes.ask(nodes.a, "b", holes(RELEASED, Nodes.SIZE, 3)).only().getHoleList())
        .isEqualTo(HoleList.newBuilder().setNextOffset(Nodes.SIZE).build());
  }

  private Frame.Builder heat(Epoch epoch) {
    return Frame.newBuilder()
        .setHeat(Heat.newBuilder().setUuid(uuid).setEpoch(WireIds.epoch(epoch)));
  }

  @Test
  void whoFetchesLearnsWhatTheGuestUsedLast() throws MalformedMapException {
    NbdSession guest = Nodes.open(nodes.a.volume("vol"), 1);
    Nodes.write(guest, 3 << 20, 1, 1);
    Nodes.read(guest, (5 << 20) - 1, 2);
    nodes.run(Duration.ofMillis(100));
    guest.closed(true);
    refused("b", heat(new Epoch(1, "a")), Refused.Code.WRONG_EPOCH);
    nodes.move(nodes.b, "vol");
    Nodes.Answers answers = nodes.ask(nodes.a, "b", heat(RELEASED));
    assertThat(answers.only().hasHeatMap()).isTrue();
    HeatRanks ranks = HeatCodec.decode(Unpooled.wrappedBuffer(answers.payloads.get(0)), Nodes.SIZE);
    byte[] expected = new byte[32];
    Arrays.fill(expected, HeatRanks.NEVER);
    expected[12] = 0;
    expected[19] = 0;
    expected[20] = 0;
    assertThat(ranks.ranks()).isEqualTo(expected);
  }

  @Test
  void locateNamesWhatIsHere() {
    var located =
        nodes
            .ask(
                nodes.a,
                "b",
                Frame.newBuilder().setLocate(Locate.newBuilder().addNames("x").addNames("vol")))
            .only()
            .getLocated();
    assertThat(located.getReplicasList())
        .singleElement()
        .satisfies(replica -> assertThat(replica.getState()).isEqualTo("SERVING"));
  }

  @Test
  void onlyTheOwnerOfTheEpochMaySayThatItIsComplete() {
    nodes.createFull(nodes.a, "full");
    nodes.move(nodes.b, "full");
    Volume released = nodes.a.volume("full");
    ByteString id = WireIds.bytes(released.record().uuid());
    complete("c", id, RELEASED);
    assertThat(released.record().completeAt()).isNull();
    complete("b", id, new Epoch(3, "b"));
    assertThat(released.record().completeAt()).isNull();
    complete("b", id, RELEASED);
    assertThat(released.record().completeAt()).isEqualTo("b");
  }

  private void complete(String peer, ByteString id, Epoch epoch) {
    Frame.Builder complete =
        Frame.newBuilder()
            .setComplete(Complete.newBuilder().setUuid(id).setEpoch(WireIds.epoch(epoch)));
    assertThat(nodes.ask(nodes.a, peer, complete).only().hasDone()).isTrue();
  }

  /** Such as one that was restored from a backup: the map tells what its successor lacks. */
  @Test
  void theStaleMapIsNotForAReplicaOfAnotherEpoch() {
    nodes.move(nodes.b, "vol");
    Volume owner = nodes.b.volume("vol");
    nodes.until(() -> owner.record().origin() == null);
    assertThat(owner.replicas().stale("a").cardinality()).isEqualTo(1);
    attach("a", RELEASED);
    assertThat(owner.replicas().stale("a").cardinality()).as("its own epoch").isEqualTo(1);
    attach("a", new Epoch(1, "a"));
    assertThat(owner.replicas().stale("a")).as("another epoch: all is stale").isNull();
  }

  private void attach(String peer, Epoch epoch) {
    Attach.Builder attach = Attach.newBuilder().setUuid(uuid).setEpoch(WireIds.epoch(epoch));
    Frame answer = nodes.ask(nodes.b, peer, Frame.newBuilder().setAttach(attach)).only();
    assertThat(answer.hasAttached()).as("%s", answer).isTrue();
  }

  @Test
  void aDeletedVolumeIsCompleteAndDetachedForWhoeverAsks() {
    ByteString other = WireIds.bytes(new UUID(0, 9));
    assertThat(
            nodes
                .ask(nodes.a, "b", Frame.newBuilder().setDetach(Detach.newBuilder().setUuid(other)))
                .only()
                .hasDone())
        .isTrue();
    complete("b", other, RELEASED);
  }

  /**
   * Node "b" asked for a takeover, lost the connection, and was told on the next one that it was
   * not released. It has dropped its standby when the first message comes out of some buffer.
   */
  @Test
  void aTakeoverThatComesAfterItsConnectionWasReplacedReleasesNothing() {
    nodes.attach(nodes.b, "vol");
    Nodes.Answers late = new Nodes.Answers();
    Frame takeover =
        Frame.newBuilder()
            .setTakeover(
                Takeover.newBuilder()
                    .addVolumes(
                        Takeover.Volume.newBuilder()
                            .setUuid(uuid)
                            .setEpoch(WireIds.epoch(volume.record().epoch()))))
            .build();
    // It is in the queue of the loop already when the new connection says hello.
    nodes.a.service().handle("b", Role.CONTROL, takeover, late);
    late.fenced = true;
    nodes.await(nodes.b.attacher().drop(Nodes.DOMAIN));
    nodes.run(Duration.ofSeconds(1));
    assertThat(volume.record().state()).isEqualTo(VolumeState.SERVING);
    assertThat(late.frames).isEmpty();
  }
}
