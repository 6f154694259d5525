// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.handover;

import static io.vmferry.relay.handover.Nodes.open;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.vmferry.api.AttachStandby;
import io.vmferry.api.Problem;
import io.vmferry.api.ProblemException;
import io.vmferry.api.VolumeState;
import io.vmferry.nbd.NbdSession;
import io.vmferry.relay.peer.WireIds;
import io.vmferry.relay.peer.wire.Frame;
import io.vmferry.relay.peer.wire.Takeover;
import io.vmferry.relay.sim.SimNode;
import io.vmferry.relay.store.DiskErrors;
import io.vmferry.relay.volume.RecordedReply;
import io.vmferry.relay.volume.Volume;
import io.vmferry.relay.volume.VolumeRecord;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

final class AttacherTest {
  private final Nodes nodes = new Nodes();

  AttacherTest() throws Exception {}

  private CompletableFuture<Void> attach(String hint, String... names) {
    return nodes.b.attacher().attach(new AttachStandby(Nodes.DOMAIN, List.of(names), hint));
  }

  private Problem refused(String hint, String... names) {
    return nodes.problem(attach(hint, names));
  }

  @Test
  void makesAStandbyOfTheSameVolume() {
    Volume owner = nodes.create(nodes.a, "vol");
    nodes.await(attach(null, "vol"));
    VolumeRecord record = nodes.b.volume("vol").record();
    assertThat(record.state()).isEqualTo(VolumeState.STANDBY);
    assertThat(record.uuid()).isEqualTo(owner.record().uuid());
    assertThat(record.size()).isEqualTo(Nodes.SIZE);
    assertThat(record.domain()).isEqualTo(Nodes.DOMAIN);
    assertThat(nodes.b.storage().record("vol")).isEqualTo(record);
  }

  @Test
  void attachingTwiceIsOnce() {
    nodes.create(nodes.a, "vol");
    nodes.await(attach("a", "vol"));
    Volume first = nodes.b.volume("vol");
    nodes.await(attach("a", "vol", "vol"));
    assertThat(nodes.b.volume("vol")).isSameAs(first);
  }

  @Test
  void aVolumeOwnedHereNeedsNothing() {
    Volume here = nodes.create(nodes.b, "vol");
    assertThat(attach(null, "vol")).isCompleted();
    nodes.until(() -> Nodes.DOMAIN.equals(here.record().domain()));
  }

  @Test
  void anUnknownVolumeHasNoOwner() {
    Problem problem = refused(null, "vol");
    assertThat(problem.code()).isEqualTo(Problem.Code.OWNER_UNKNOWN);
    assertThat(problem.message()).contains("a, c");
  }

  @Test
  void namesAHintThatIsNoPeer() {
    Problem problem = refused("zz", "vol");
    assertThat(problem.code()).isEqualTo(Problem.Code.OWNER_UNKNOWN);
    assertThat(problem.message()).contains("node zz");
  }

  @Test
  void anOwnerThatDoesNotAnswerIsUnreachable() {
    nodes.create(nodes.a, "vol");
    nodes.wire(false);
    Problem problem = refused("a", "vol");
    assertThat(problem.code()).isEqualTo(Problem.Code.OWNER_UNREACHABLE);
    assertThat(problem.message()).contains("a (");
  }

  @Test
  void anotherVolumeOfThatNameIsInTheWay() {
    nodes.create(nodes.a, "vol");
    nodes.create(nodes.b, "vol");
    assertThat(refused("a", "vol").code()).isEqualTo(Problem.Code.NAME_TAKEN);
  }

  @Test
  void aBadNameIsRefusedAtOnce() {
    assertThatThrownBy(() -> attach(null, "../x"))
        .isInstanceOfSatisfying(
            ProblemException.class,
            e -> assertThat(e.problem().code()).isEqualTo(Problem.Code.BAD_REQUEST));
  }

  @Test
  void oneVolumeThatCantBeAttachedUndoesTheOthers() {
    nodes.create(nodes.a, "one");
    nodes.create(nodes.a, "two");
    CompletableFuture<Void> attached = attach("a", "one", "two");
    nodes.until(() -> nodes.b.volume("one") != null);
    nodes.wire(false);
    assertThat(nodes.problem(attached).code()).isEqualTo(Problem.Code.OWNER_UNREACHABLE);
    nodes.until(() -> nodes.b.volume("one") == null && nodes.b.storage().record("one") == null);
    assertThat(nodes.b.volume("two")).isNull();
  }

  /** Else a guest that comes back and only reads would use it as a standby for ever. */
  @Test
  void aCopyWhoseAttachmentIsUndoneStaysOfItsDomain() {
    nodes.create(nodes.b, "one");
    nodes.create(nodes.b, "two");
    nodes.await(attach(null, "one", "two"));
    nodes.until(() -> Nodes.DOMAIN.equals(nodes.b.volume("one").record().domain()));
    nodes.move(nodes.a, "one", "two");
    nodes.until(() -> nodes.b.volume("one").record().completeAt() != null);
    nodes.until(() -> nodes.b.volume("two").record().completeAt() != null);
    CompletableFuture<Void> attached = attach("a", "one", "two");
    nodes.until(() -> Nodes.state(nodes.b, "one") == VolumeState.STANDBY);
    nodes.wire(false);
    assertThat(nodes.problem(attached).code()).isEqualTo(Problem.Code.OWNER_UNREACHABLE);
    nodes.until(() -> Nodes.state(nodes.b, "one") == VolumeState.RELEASED);
    assertThat(nodes.b.volume("one").record().domain()).isEqualTo(Nodes.DOMAIN);
  }

  @Test
  void tooLittleSpaceIsRefused() {
    nodes.createFull(nodes.a, "vol");
    nodes.b.storage().setFreeBytes(1 << 20);
    Problem problem = refused("a", "vol");
    assertThat(problem.code()).isEqualTo(Problem.Code.NO_SPACE);
    assertThat(problem.message())
        .contains("1 MiB free for volumes and 8 MiB are needed; free some or choose another node");
    assertThat(nodes.b.volume("vol")).isNull();
  }

  @Test
  void aRefusalForLackOfSpaceNamesRetainedCopies() {
    nodes.create(nodes.b, "small");
    nodes.createFull(nodes.b, "large");
    nodes.move(nodes.a, "small");
    nodes.move(nodes.a, "large");
    nodes.until(() -> nodes.b.volume("small").record().completeAt() != null);
    nodes.until(() -> nodes.b.volume("large").record().completeAt() != null);
    nodes.createFull(nodes.a, "vol");
    nodes.b.storage().setFreeBytes(1 << 20);

    Problem problem = refused("a", "vol");
    assertThat(problem.code()).isEqualTo(Problem.Code.NO_SPACE);
    assertThat(problem.message()).contains("hold 8 MiB", "'vmferry volume delete large'");
  }

  @Test
  void theCopyThatIsAttachedAgainNeedsItsSpaceOnlyOnce() {
    nodes.createFull(nodes.b, "vol");
    nodes.move(nodes.a, "vol");
    nodes.until(() -> nodes.b.volume("vol").record().completeAt() != null);
    nodes.b.storage().setFreeBytes(0);
    nodes.await(attach("a", "vol"));
    assertThat(Nodes.state(nodes.b, "vol")).isEqualTo(VolumeState.STANDBY);
  }

  @Test
  void aReplicaThatCantBeMadeStandbyStaysAsItWas() {
    nodes.create(nodes.b, "vol");
    nodes.move(nodes.a, "vol");
    nodes.until(() -> nodes.b.volume("vol").record().completeAt() != null);
    nodes.b.storage().failNextCommit(DiskErrors.noSpace());
    assertThat(refused("a", "vol").code()).isEqualTo(Problem.Code.NO_SPACE);
    assertThat(Nodes.state(nodes.b, "vol")).isEqualTo(VolumeState.RELEASED);
  }

  @Test
  void aReplicaThatItsNewOwnerStillReadsStaysAttachedToThatOwnerOnly() {
    nodes.createFull(nodes.b, "vol");
    nodes.a.capCopy(1L);
    nodes.move(nodes.a, "vol");
    nodes.await(attach("a", "vol"));
    assertThat(Nodes.state(nodes.b, "vol")).isEqualTo(VolumeState.STANDBY);
    nodes.move(nodes.c, "vol");
    assertThat(nodes.b.volume("vol").record().completeAt()).isNull();

    Problem problem = refused("c", "vol");
    assertThat(problem.code()).isEqualTo(Problem.Code.REFUSED);
    assertThat(problem.message()).contains("node a still copies");
    nodes.a.capCopy(null);
    nodes.until(() -> Nodes.state(nodes.c, "vol") == VolumeState.SERVING);
  }

  /** A takeover from "a" to "b" takes 50 ms: what is done at each moment of it. */
  private static final int TAKEOVER_MILLIS = 60;

  /**
   * Attaches at {@code node} that long after a guest at "b" began to write to a volume of "a".
   *
   * @param retained whether "b" has had the volume before
   */
  private static void attachDuringTakeover(String node, int millis, boolean retained)
      throws Exception {
    Nodes nodes = new Nodes();
    nodes.create(retained ? nodes.b : nodes.a, "vol", 4096);
    if (retained) {
      nodes.move(nodes.a, "vol");
    }
    nodes.attach(nodes.b, "vol");
    NbdSession guest = open(nodes.b.volume("vol"), 9);
    RecordedReply reply = Nodes.write(guest, 0, 4096, 1);
    nodes.time.run(Duration.ofMillis(millis));
    SimNode at = Map.of("a", nodes.a, "b", nodes.b, "c", nodes.c).get(node);
    nodes.await(at.attacher().attach(new AttachStandby(Nodes.DOMAIN, List.of("vol"), null)));
    nodes.until(() -> "ok".equals(reply.outcome()));
    if (!node.equals("b")) {
      // It may have been attached to "a" before that gave the volume away.
      nodes.await(at.attacher().attach(new AttachStandby(Nodes.DOMAIN, List.of("vol"), null)));
      assertThat(Nodes.state(at, "vol")).isEqualTo(VolumeState.STANDBY);
      assertThat(at.volume("vol").record().epoch().owner()).isEqualTo("b");
    }
    assertThat(nodes.b.volume("vol").isOwner()).isTrue();
  }

  @ParameterizedTest
  @ValueSource(strings = {"b", "c"})
  void aTakeoverUnderWayIsWaitedFor(String node) throws Exception {
    for (int millis = 0; millis < TAKEOVER_MILLIS; millis += 2) {
      attachDuringTakeover(node, millis, false);
      attachDuringTakeover(node, millis, true);
    }
  }

  @Test
  void theOldOwnerAttachesDuringATakeoverFromIt() throws Exception {
    for (int millis = 0; millis < TAKEOVER_MILLIS; millis += 2) {
      attachDuringTakeover("a", millis, false);
    }
  }

  /** "b" was made owner and does not know it: it completes that when it is asked. */
  @Test
  void theOldOwnerAttachesAfterItsAnswerWasLost() {
    Volume released = nodes.create(nodes.a, "vol");
    nodes.attach(nodes.b, "vol");
    nodes.ask(
        nodes.a,
        "b",
        Frame.newBuilder()
            .setTakeover(
                Takeover.newBuilder()
                    .addVolumes(
                        Takeover.Volume.newBuilder()
                            .setUuid(WireIds.bytes(released.record().uuid()))
                            .setEpoch(WireIds.epoch(released.record().epoch())))));
    assertThat(Nodes.state(nodes.b, "vol")).isEqualTo(VolumeState.STANDBY);
    nodes.await(nodes.a.attacher().attach(new AttachStandby(Nodes.DOMAIN, List.of("vol"), null)));
    assertThat(nodes.b.volume("vol").isOwner()).isTrue();
    assertThat(Nodes.state(nodes.a, "vol")).isEqualTo(VolumeState.STANDBY);
  }

  @Test
  void aVolumeThatStaysWithoutOwnerIsRefusedAfterSomeSeconds() {
    Volume owned = nodes.create(nodes.a, "vol");
    nodes.attach(nodes.b, "vol");
    nodes.await(nodes.a.volumes().delete(owned, () -> null));
    long began = nodes.time.nanoTime();
    assertThat(refused(null, "vol").code()).isEqualTo(Problem.Code.OWNER_UNKNOWN);
    assertThat(Duration.ofNanos(nodes.time.nanoTime() - began))
        .isBetween(Duration.ofSeconds(2), Duration.ofSeconds(4));
  }

  @Test
  void aVolumeThatNobodyHasIsRefusedAtOnce() {
    long began = nodes.time.nanoTime();
    assertThat(refused(null, "vol").code()).isEqualTo(Problem.Code.OWNER_UNKNOWN);
    assertThat(Duration.ofNanos(nodes.time.nanoTime() - began)).isLessThan(Duration.ofMillis(100));
  }

  @Test
  void dropRemovesANewStandbyAndKeepsARetainedReplica() {
    nodes.create(nodes.a, "new");
    nodes.create(nodes.b, "old");
    nodes.move(nodes.a, "old");
    nodes.await(attach("a", "new", "old"));

    nodes.await(nodes.b.attacher().drop(Nodes.DOMAIN));
    assertThat(nodes.b.volume("new")).isNull();
    assertThat(Nodes.state(nodes.b, "old")).isEqualTo(VolumeState.RELEASED);
    assertThat(nodes.b.volume("old").record().held()).isEqualTo(VolumeRecord.Held.ALL);
  }

  @Test
  void aStandbyInUseIsNotDropped() {
    nodes.create(nodes.a, "vol");
    nodes.await(attach("a", "vol"));
    open(nodes.b.volume("vol"), 9);
    assertThatThrownBy(() -> nodes.b.attacher().drop(Nodes.DOMAIN))
        .isInstanceOfSatisfying(
            ProblemException.class,
            e -> assertThat(e.problem().code()).isEqualTo(Problem.Code.IN_USE));
  }
}
