// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.handover;

import static org.assertj.core.api.Assertions.assertThat;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.ByteBufUtil;
import io.netty.buffer.Unpooled;
import io.vmferry.api.Epoch;
import io.vmferry.api.VolumeState;
import io.vmferry.config.PreCopyMode;
import io.vmferry.relay.copy.FakeLink;
import io.vmferry.relay.copy.RateLimit;
import io.vmferry.relay.exec.DiskTasks;
import io.vmferry.relay.exec.RequestCount;
import io.vmferry.relay.map.BlockGrid;
import io.vmferry.relay.map.HeapBlockMap;
import io.vmferry.relay.map.StaleMapCodec;
import io.vmferry.relay.peer.WireIds;
import io.vmferry.relay.peer.wire.Attached;
import io.vmferry.relay.peer.wire.Frame;
import io.vmferry.relay.peer.wire.Located;
import io.vmferry.relay.peer.wire.Refused;
import io.vmferry.relay.peer.wire.Replica;
import io.vmferry.relay.peer.wire.TakenOver;
import io.vmferry.relay.sim.SimStorage;
import io.vmferry.relay.sim.VirtualTime;
import io.vmferry.relay.volume.Commits;
import io.vmferry.relay.volume.NoSources;
import io.vmferry.relay.volume.Unheard;
import io.vmferry.relay.volume.Volume;
import io.vmferry.relay.volume.VolumeEnvironment;
import io.vmferry.relay.volume.VolumeRecord;
import io.vmferry.relay.volume.Volumes;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Optional;
import java.util.UUID;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/**
 * The owner's answer to a takeover as it should not be: nothing of it counts, the standbys stay as
 * they are, and it is asked again.
 */
final class TakeoverAnswersTest {
  private static final UUID DOMAIN = new UUID(7, 8);
  private static final UUID ONE = new UUID(0, 1);
  private static final UUID TWO = new UUID(0, 2);
  private static final int BLOCKS = 16;
  private static final Epoch NEXT = new Epoch(2, "b");

  private final VirtualTime time = new VirtualTime();
  private final VirtualTime.NodeLoop loop = time.new NodeLoop();
  private final DiskTasks tasks = new DiskTasks(loop, loop);
  private final SimStorage storage = new SimStorage(null);
  private final FakeLink owner = new FakeLink("a");
  private final Peers peers = new Peers("b", loop, new RateLimit(null, 0), List.of(owner));
  private final Volumes volumes =
      new Volumes(
          "b",
          new VolumeEnvironment(
              loop,
              new RequestCount(),
              tasks,
              storage,
              new Commits(tasks),
              pid -> Optional.empty(),
              () -> Instant.EPOCH,
              peers::link,
              peers::lane,
              new NoSources(),
              () -> PreCopyMode.NONE,
              new Unheard()));
  private final OpenTakeovers open = new OpenTakeovers(volumes, peers);
  private final StandbyHandover handover =
      new StandbyHandover(
          volumes, peers, new Attacher(volumes, peers, new Forks(volumes, peers), open), open);

  @BeforeEach
  void twoStandbysOfOneDomain() {
    storage.usedBy(loop);
    for (UUID uuid : List.of(ONE, TWO)) {
      var unused =
          volumes.add(
              VolumeRecord.standby(
                  name(uuid), uuid, (long) BLOCKS * BlockGrid.BLOCK, new Epoch(1, "a"), DOMAIN));
      run();
    }
    var unused = handover.domainRuns(DOMAIN);
    run();
  }

  private static String name(UUID uuid) {
    return "vol" + uuid.getLeastSignificantBits();
  }

  private void run() {
    time.run(Duration.ofMillis(1));
  }

  private FakeLink.Call question() {
    List<FakeLink.Call> calls =
        owner.calls().stream().filter(call -> call.request().hasTakeover()).toList();
    assertThat(calls).hasSize(1);
    return calls.get(0);
  }

  private static byte[] map() {
    ByteBuf map = Unpooled.buffer();
    StaleMapCodec.encode(HeapBlockMap.allSet(BLOCKS), map);
    return ByteBufUtil.getBytes(map);
  }

  private static TakenOver.Volume.Builder volume(UUID uuid, Epoch epoch, int mapLength) {
    return TakenOver.Volume.newBuilder()
        .setUuid(WireIds.bytes(uuid))
        .setEpoch(WireIds.epoch(epoch))
        .setStaleMapLength(mapLength);
  }

  private static TakenOver.Volume.Builder good(UUID uuid) {
    return volume(uuid, NEXT, map().length);
  }

  private static byte[] maps(byte[]... each) {
    return ByteBufUtil.getBytes(Unpooled.wrappedBuffer(each));
  }

  private void answer(byte[] maps, TakenOver.Volume.Builder... released) {
    TakenOver.Builder answer = TakenOver.newBuilder();
    for (TakenOver.Volume.Builder each : released) {
      answer.addVolumes(each);
    }
    FakeLink.Call question = question();
    question.frame(Frame.newBuilder().setTakenOver(answer), maps);
    question.end();
    run();
  }

  /** As when a guest starts here and attaches its volumes while a takeover is under way. */
  @Test
  void aVolumeThatIsAttachedAnewMeanwhileIsAskedForAgain() {
    Volume volume = volumes.byUuid(ONE);
    var unused =
        new StandbyRecords(volumes)
            .change(volume, () -> volume.record().reattached(new Epoch(1, "a"), DOMAIN));
    answer(maps(map(), map()), good(ONE), good(TWO));
    assertThat(volume.record().state()).isEqualTo(VolumeState.STANDBY);

    time.run(Duration.ofMillis(200));
    answer(maps(map(), map()), good(ONE), good(TWO));
    assertThat(volume.record().state()).isEqualTo(VolumeState.FETCHING);
    assertThat(volumes.byUuid(TWO).record().state()).isEqualTo(VolumeState.FETCHING);
  }

  private void grantedWhileTheyBecome(UUID another) {
    for (UUID uuid : List.of(ONE, TWO)) {
      Volume volume = volumes.byUuid(uuid);
      var unused =
          new StandbyRecords(volumes)
              .change(volume, () -> volume.record().reattached(new Epoch(1, "a"), another));
    }
    answer(maps(map(), map()), good(ONE), good(TWO));
    assertThat(volumes.byUuid(ONE).record().state()).isEqualTo(VolumeState.STANDBY);
    time.run(Duration.ofMillis(200));
  }

  /** As when another guest starts on the volumes: the one that the takeover was for is gone. */
  @Test
  void whatWasReleasedIsTakenOverThoughItIsAnothersMeanwhile() {
    UUID another = new UUID(7, 9);
    grantedWhileTheyBecome(another);

    answer(maps(map(), map()), good(ONE), good(TWO));
    for (UUID uuid : List.of(ONE, TWO)) {
      assertThat(volumes.byUuid(uuid).record().state()).isEqualTo(VolumeState.FETCHING);
      assertThat(volumes.byUuid(uuid).record().domain()).isEqualTo(another);
    }
  }

  /** As when it was promoted elsewhere, and has come back to the node that had released it. */
  @Test
  void aGrantThatCountsNoLongerIsNoReasonToAskTheNextOwner() {
    grantedWhileTheyBecome(new UUID(7, 9));
    FakeLink.Call question = question();
    question.refuse(Refused.Code.NOT_OWNER);
    question.end();
    run();
    answerNext(Frame.newBuilder().setLocated(Located.newBuilder().addAllReplicas(owned())));
    for (Replica each : owned()) {
      answerNext(Frame.newBuilder().setAttached(Attached.newBuilder().setReplica(each)));
    }

    time.run(Duration.ofSeconds(3));
    assertThat(volumes.byUuid(ONE).record().epoch()).isEqualTo(new Epoch(4, "a"));
    assertThat(owner.calls()).noneMatch(call -> call.request().hasTakeover());
  }

  private void answerNext(Frame.Builder frame) {
    assertThat(owner.calls()).hasSize(1);
    FakeLink.Call next = owner.calls().get(0);
    next.frame(frame);
    next.end();
    run();
  }

  private static List<Replica> owned() {
    return Stream.of(ONE, TWO)
        .map(
            uuid ->
                Replica.newBuilder()
                    .setName(name(uuid))
                    .setUuid(WireIds.bytes(uuid))
                    .setSize((long) BLOCKS * BlockGrid.BLOCK)
                    .setEpoch(WireIds.epoch(new Epoch(4, "a")))
                    .setState("SERVING")
                    .build())
        .toList();
  }

  /** Nobody owns anything here; after a second the same is asked again, and a good answer works. */
  private void nothingCounts(String trouble) {
    for (UUID uuid : List.of(ONE, TWO)) {
      Volume volume = volumes.byUuid(uuid);
      assertThat(volume.record().state()).isEqualTo(VolumeState.STANDBY);
      assertThat(volume.record().epoch()).isEqualTo(new Epoch(1, "a"));
      assertThat(storage.record(name(uuid)).state()).isEqualTo(VolumeState.STANDBY);
      assertThat(volume.trouble()).contains(trouble);
    }
    time.run(Duration.ofSeconds(2));
    answer(maps(map(), map()), good(ONE), good(TWO));
    for (UUID uuid : List.of(ONE, TWO)) {
      assertThat(volumes.byUuid(uuid).record().epoch()).isEqualTo(NEXT);
      assertThat(storage.record(name(uuid)).state()).isEqualTo(VolumeState.FETCHING);
      assertThat(volumes.byUuid(uuid).trouble()).isNull();
    }
  }

  @Test
  void aPartOfTheVolumes() {
    answer(map(), good(ONE));
    nothingCounts("released 1 volumes");
  }

  @Test
  void oneVolumeTwice() {
    answer(maps(map(), map()), good(ONE), good(ONE));
    nothingCounts("released " + ONE + " twice");
  }

  @Test
  void aVolumeThatNobodyAskedFor() {
    answer(maps(map(), map()), good(ONE), good(new UUID(0, 3)));
    nothingCounts("released " + new UUID(0, 3));
  }

  @Test
  void anEpochThatIsNotTheNext() {
    answer(maps(map(), map()), good(ONE), volume(TWO, new Epoch(3, "b"), map().length));
    nothingCounts("names epoch 3@b");
  }

  @Test
  void theSameEpochAgain() {
    answer(maps(map(), map()), good(ONE), volume(TWO, new Epoch(1, "b"), map().length));
    nothingCounts("names epoch 1@b");
  }

  @Test
  void anotherNodesEpoch() {
    answer(maps(map(), map()), good(ONE), volume(TWO, new Epoch(2, "c"), map().length));
    nothingCounts("names epoch 2@c");
  }

  @Test
  void aMapThatEndsTooEarly() {
    answer(map(), good(ONE), good(TWO));
    nothingCounts("names epoch");
  }

  @Test
  void aMapThatIsNone() {
    byte[] none = new byte[map().length];
    answer(maps(map(), none), good(ONE), good(TWO));
    nothingCounts("The encoded map can't be used");
  }

  @Test
  void anotherAnswer() {
    FakeLink.Call question = question();
    question.zeroes(0, 512);
    question.end();
    run();
    nothingCounts("released 0 volumes");
  }

  @Test
  void noAnswerAtAll() {
    question().end();
    run();
    nothingCounts("gave no answer");
  }

  @Test
  void aRefusal() {
    FakeLink.Call question = question();
    question.refuse(Refused.Code.GUEST_ACTIVE);
    question.end();
    run();
    nothingCounts("no");
  }
}
