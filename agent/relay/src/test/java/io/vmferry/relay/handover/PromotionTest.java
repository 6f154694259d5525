// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.handover;

import static io.vmferry.relay.handover.Nodes.open;
import static io.vmferry.relay.handover.Nodes.read;
import static io.vmferry.relay.handover.Nodes.write;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.vmferry.api.AttachStandby;
import io.vmferry.api.Epoch;
import io.vmferry.api.Problem;
import io.vmferry.api.ProblemException;
import io.vmferry.api.VolumeState;
import io.vmferry.nbd.NbdSession;
import io.vmferry.relay.sim.SimNode;
import io.vmferry.relay.store.DiskErrors;
import io.vmferry.relay.volume.RecordedReply;
import io.vmferry.relay.volume.Volume;
import io.vmferry.relay.volume.VolumeRecord;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import org.junit.jupiter.api.Test;

/**
 * Node a gave the volume to node b, which is lost; what an operator can do, and what b finds later.
 */
final class PromotionTest {
  private final Nodes nodes = new Nodes();
  private final Volume copy = nodes.createFull(nodes.a, "vol");

  PromotionTest() throws Exception {
    nodes.move(nodes.b, "vol");
    nodes.until(() -> nodes.b.volume("vol").record().origin() == null);
    assertThat(copy.record().completeAt()).isEqualTo("b");
  }

  private CompletableFuture<Void> promote(SimNode node, boolean force) {
    return CompletableFuture.completedFuture(null)
        .thenCompose(now -> node.promotion().promote(node.volume("vol"), force));
  }

  private String refused(SimNode node, boolean force) {
    VolumeRecord before = node.volume("vol").record();
    Problem problem = nodes.problem(promote(node, force));
    assertThat(problem.code()).isEqualTo(Problem.Code.REFUSED);
    assertThat(node.volume("vol").record()).isEqualTo(before);
    assertThat(node.storage().record("vol")).isEqualTo(before);
    return problem.message();
  }

  private void lose(SimNode node) {
    nodes.kill(node);
    nodes.run(Duration.ofMillis(100));
  }

  private void comesBack(SimNode node) throws Exception {
    nodes.revive(node);
    nodes.run(Duration.ofSeconds(1));
  }

  private static void isForkOf(SimNode node, Epoch rival) {
    VolumeRecord record = node.volume("vol").record();
    assertThat(record.state()).isEqualTo(VolumeState.FORKED);
    assertThat(record.rival()).isEqualTo(rival);
    assertThat(node.storage().record("vol")).isEqualTo(record);
  }

  // ---- what it costs, and when it is refused

  @Test
  void saysWhatWouldBeLostAndChangesNothing() {
    lose(nodes.b);
    assertThat(refused(nodes.a, false))
        .contains("owned by node b in epoch 2 since 1970-01-01T00:00:0")
        .contains("no answer from b (")
        .contains("as of the handover to node b at 1970-01-01T00:00:0")
        .endsWith("nothing was changed, --force does it");
  }

  @Test
  void isRefusedWhileTheOwnerCanBeAsked() {
    assertThat(refused(nodes.a, true)).contains("owned by node b in epoch 2, which can be reached");
  }

  @Test
  void theOwnerHasNothingToPromote() {
    assertThat(refused(nodes.b, true)).contains("owned by this node already");
  }

  @Test
  void aStandbyHoldsNothing() {
    nodes.attach(nodes.c, "vol");
    lose(nodes.b);
    assertThat(refused(nodes.c, true)).contains("only a standby here and holds nothing");
  }

  @Test
  void aCopyThatLacksBlocksIsNotPromoted() {
    nodes.createFull(nodes.a, "part");
    nodes.move(nodes.b, "part");
    nodes.isolate(nodes.a);
    nodes.move(nodes.c, "part");
    Volume part = nodes.b.volume("part");
    assertThat(part.record().held()).isEqualTo(VolumeRecord.Held.JOURNAL);
    nodes.c.kill();
    long missing = Nodes.SIZE - part.status().present();
    assertThat(missing).isPositive();
    assertThatThrownBy(() -> nodes.b.promotion().promote(part, true))
        .isInstanceOf(ProblemException.class)
        .hasMessageContaining("volume part lacks " + missing + " bytes here");
    assertThat(part.record().state()).isEqualTo(VolumeState.RELEASED);
  }

  @Test
  void aLaterCopyElsewhereComesFirst() {
    nodes.move(nodes.c, "vol");
    nodes.until(() -> nodes.c.volume("vol").record().origin() == null);
    lose(nodes.c);
    assertThat(refused(nodes.a, true)).contains("released by node b in epoch 3").contains("later");

    nodes.await(promote(nodes.b, true));
    assertThat(nodes.b.volume("vol").record().epoch()).isEqualTo(new Epoch(4, "b"));
  }

  @Test
  void aStandbyThatAGuestReadsIsNotPromotedUnderIt() {
    nodes.attach(nodes.a, "vol");
    NbdSession guest = open(copy, 7);
    lose(nodes.b);
    assertThat(refused(nodes.a, true)).contains("process 7").contains("shut that down first");

    guest.closed(true);
    nodes.await(promote(nodes.a, true));
    assertThat(copy.record().state()).isEqualTo(VolumeState.SERVING);
  }

  @Test
  void aDiskThatFailsLeavesItAsItWas() {
    lose(nodes.b);
    nodes.a.storage().failNextCommit(DiskErrors.noSpace());
    assertThat(nodes.problem(promote(nodes.a, true)).code()).isEqualTo(Problem.Code.NO_SPACE);
    assertThat(copy.record().state()).isEqualTo(VolumeState.RELEASED);
  }

  // ---- what it does

  @Test
  void servesTheContentOfTheHandoverInALaterEpoch() {
    RecordedReply written = write(open(nodes.b.volume("vol"), 99), 8192, 4096, 7);
    nodes.until(() -> "ok".equals(written.outcome()));
    lose(nodes.b);
    nodes.await(promote(nodes.a, true));

    assertThat(copy.record().state()).isEqualTo(VolumeState.SERVING);
    assertThat(copy.record().epoch()).isEqualTo(new Epoch(3, "a"));
    assertThat(copy.record().promotedOver()).isEqualTo(new Epoch(2, "b"));
    assertThat(nodes.a.storage().record("vol")).isEqualTo(copy.record());
    NbdSession guest = open(copy, 5);
    RecordedReply there = read(guest, 8192, 4096);
    nodes.until(() -> "ok".equals(there.outcome()));
    assertThat(there.bytes()).as("as of the handover").containsOnly(1);
    RecordedReply reply = write(guest, 0, 4096, 9);
    nodes.until(() -> "ok".equals(reply.outcome()));
  }

  @Test
  void aGuestThatWaitedForTheLostOwnerGoesOn() {
    NbdSession guest = open(copy, 5);
    lose(nodes.b);
    RecordedReply reply = write(guest, 0, 4096, 9);
    nodes.run(Duration.ofSeconds(3));
    assertThat(reply.outcome()).isNull();
    nodes.await(promote(nodes.a, true));
    nodes.until(() -> "ok".equals(reply.outcome()));
    nodes.run(Duration.ofSeconds(3));
    assertThat(copy.trouble()).isNull();
  }

  @Test
  void theDomainStartsThoughItsXmlStillNamesTheLostOwner() {
    lose(nodes.b);
    AttachStandby start = new AttachStandby(Nodes.DOMAIN, List.of("vol"), "b");
    assertThat(nodes.problem(nodes.a.attacher().attach(start)).code())
        .isEqualTo(Problem.Code.OWNER_UNREACHABLE);
    nodes.await(promote(nodes.a, true));
    nodes.await(nodes.a.attacher().attach(start));
  }

  @Test
  void movesOnAsAnyVolume() {
    lose(nodes.b);
    nodes.await(promote(nodes.a, true));
    nodes.move(nodes.c, "vol");
    nodes.until(() -> Nodes.state(nodes.c, "vol") == VolumeState.SERVING);
    assertThat(nodes.c.volume("vol").record().epoch()).isEqualTo(new Epoch(4, "c"));
  }

  // ---- the old owner comes back

  private void forked() throws Exception {
    lose(nodes.b);
    nodes.await(promote(nodes.a, true));
    comesBack(nodes.b);
  }

  @Test
  void theOldOwnerParksWhenItMeetsTheNewOne() throws Exception {
    forked();
    isForkOf(nodes.b, new Epoch(3, "a"));
    assertThat(copy.record().state()).isEqualTo(VolumeState.SERVING);
    assertThat(nodes.b.volume("vol").status().waitingFor())
        .contains("has two owners: node b in epoch 2, whose copy is parked, and node a in epoch 3");
  }

  @Test
  void theOldOwnerParksThoughItsDiskIsFullAtFirst() throws Exception {
    lose(nodes.b);
    nodes.await(promote(nodes.a, true));
    nodes.b.storage().failNextCommit(DiskErrors.noSpace());
    comesBack(nodes.b);
    NbdSession guest = open(nodes.b.volume("vol"), 98);
    RecordedReply reply = write(guest, 0, 4096, 3);
    nodes.run(Duration.ofSeconds(3));
    isForkOf(nodes.b, new Epoch(3, "a"));
    assertThat(reply.outcome()).isNull();
  }

  @Test
  void anOwnerWhoseLinkNeverWentDownLooksByItself() {
    // Cut off from all, a promotes; b's own way to a is repaired without b's noticing anything.
    nodes.isolate(nodes.a);
    nodes.run(Duration.ofMillis(100));
    nodes.await(promote(nodes.a, true));
    nodes.b.dropLinkListeners();
    nodes.wire(true);
    nodes.run(Duration.ofSeconds(29));
    assertThat(Nodes.state(nodes.b, "vol")).isEqualTo(VolumeState.SERVING);
    nodes.run(Duration.ofSeconds(10));
    isForkOf(nodes.b, new Epoch(3, "a"));
  }

  @Test
  void aForkHoldsWritesAndIsReadForExport() throws Exception {
    RecordedReply last = write(open(nodes.b.volume("vol"), 97), 8192, 4096, 7);
    nodes.until(() -> "ok".equals(last.outcome()));
    forked();
    NbdSession client = open(nodes.b.volume("vol"), 98);
    RecordedReply exported = read(client, 8192, 4096);
    nodes.until(() -> "ok".equals(exported.outcome()));
    assertThat(exported.bytes()).as("what its own guest wrote").containsOnly(7);
    RecordedReply reply = write(client, 0, 4096, 3);
    nodes.run(Duration.ofSeconds(5));
    assertThat(reply.outcome()).isNull();
    assertThat(Nodes.state(nodes.a, "vol")).isEqualTo(VolumeState.SERVING);
  }

  @Test
  void aForkGoesNowhereAndNobodyGetsItsContent() throws Exception {
    forked();
    for (AttachStandby request :
        List.of(
            new AttachStandby(Nodes.DOMAIN, List.of("vol"), "b"),
            new AttachStandby(Nodes.DOMAIN, List.of("vol"), null))) {
      Problem problem = nodes.problem(nodes.c.attacher().attach(request));
      assertThat(problem.code()).isEqualTo(Problem.Code.REFUSED);
      assertThat(problem.message()).contains("has two owners").contains("node b in epoch 2");
    }
    assertThat(nodes.c.volume("vol")).isNull();
    AttachStandby back = new AttachStandby(Nodes.DOMAIN, List.of("vol"), "a");
    assertThatThrownBy(() -> nodes.b.attacher().attach(back))
        .isInstanceOf(ProblemException.class)
        .hasMessageContaining("has two owners");

    nodes.await(nodes.c.attacher().attach(back));
    assertThat(nodes.c.volume("vol").record().epoch()).isEqualTo(new Epoch(3, "a"));
  }

  @Test
  void aStandbyOfAForkNeverTurnsToTheOtherOwner() throws Exception {
    Volume standby = nodes.attach(nodes.c, "vol");
    nodes.isolate(nodes.a);
    nodes.run(Duration.ofMillis(100));
    nodes.await(promote(nodes.a, true));
    nodes.wire(true);
    nodes.until(() -> Nodes.state(nodes.b, "vol") == VolumeState.FORKED);

    RecordedReply reply = write(open(standby, 9), 0, 4096, 3);
    nodes.run(Duration.ofSeconds(10));
    assertThat(reply.outcome()).isNull();
    assertThat(standby.record().epoch()).isEqualTo(new Epoch(2, "b"));
    assertThat(standby.status().waitingFor()).contains("has two owners");
  }

  @Test
  void aForkThatIsDeletedIsOver() throws Exception {
    forked();
    nodes.await(nodes.b.departures().delete(nodes.b.volume("vol")));
    nodes.attach(nodes.b, "vol");
    assertThat(nodes.b.volume("vol").record().epoch()).isEqualTo(new Epoch(3, "a"));
  }

  @Test
  void withTheSameNumberBothParkAndAnOperatorDecides() {
    nodes.isolate(nodes.a);
    nodes.run(Duration.ofMillis(100));
    nodes.await(promote(nodes.a, true));
    nodes.move(nodes.c, "vol");
    nodes.until(() -> Nodes.state(nodes.c, "vol") == VolumeState.SERVING);
    assertThat(nodes.c.volume("vol").record().epoch()).isEqualTo(new Epoch(3, "c"));

    nodes.wire(true);
    nodes.until(() -> Nodes.state(nodes.c, "vol") == VolumeState.FORKED);
    nodes.until(() -> Nodes.state(nodes.a, "vol") == VolumeState.FORKED);
    // b has noted that c is complete: nothing changes by itself any more.
    nodes.until(() -> nodes.c.volume("vol").record().origin() == null);

    assertThat(refused(nodes.c, false)).contains("also owned by node a in epoch 3");
    nodes.await(promote(nodes.c, true));
    nodes.run(Duration.ofSeconds(60));
    assertThat(nodes.c.volume("vol").record().epoch()).isEqualTo(new Epoch(4, "c"));
    assertThat(nodes.c.volume("vol").record().state()).isEqualTo(VolumeState.SERVING);
    isForkOf(nodes.a, new Epoch(3, "c"));
  }

  @Test
  void handoversAreNoForks() {
    for (int i = 0; i < 4; i++) {
      SimNode to = i % 2 == 0 ? nodes.a : nodes.b;
      nodes.move(to, "vol");
      nodes.wire(false);
      nodes.wire(true);
      nodes.until(() -> to.volume("vol").record().origin() == null);
    }
    nodes.run(Duration.ofSeconds(65));
    assertThat(nodes.b.volume("vol").record().state()).isEqualTo(VolumeState.SERVING);
    assertThat(nodes.b.volume("vol").record().rival()).isNull();
  }
}
