// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.handover;

import static io.vmferry.relay.handover.Nodes.SIZE;
import static io.vmferry.relay.handover.Nodes.open;
import static io.vmferry.relay.handover.Nodes.read;
import static io.vmferry.relay.handover.Nodes.state;
import static io.vmferry.relay.handover.Nodes.write;
import static org.assertj.core.api.Assertions.assertThat;

import io.vmferry.api.AttachStandby;
import io.vmferry.api.Problem;
import io.vmferry.api.VolumeLocation;
import io.vmferry.api.VolumeState;
import io.vmferry.nbd.NbdSession;
import io.vmferry.relay.sim.SimNode;
import io.vmferry.relay.volume.RecordedReply;
import io.vmferry.relay.volume.Volume;
import java.io.IOException;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.function.Supplier;
import org.junit.jupiter.api.Test;

final class VolumesByNameTest {
  private static final long LARGER = SIZE + 5 * 4096 + 512;

  private final Nodes nodes = new Nodes();

  VolumesByNameTest() throws Exception {}

  private VolumeLocation location(SimNode asked) {
    return nodes.await(asked.byName().locate("vol"));
  }

  private void extend(SimNode asked, long size) {
    nodes.await(asked.byName().extend("vol", size));
  }

  private void refuses(CompletableFuture<?> request, Problem.Code code, String reason) {
    Problem problem = nodes.problem(request);
    assertThat(problem.message()).contains(reason);
    assertThat(problem.code()).isEqualTo(code);
  }

  private CompletableFuture<?> soon(Supplier<CompletableFuture<?>> request) {
    return CompletableFuture.completedFuture(null).thenCompose(now -> request.get());
  }

  private RecordedReply ok(RecordedReply reply) {
    nodes.until(() -> reply.outcome() != null);
    assertThat(reply.outcome()).isEqualTo("ok");
    return reply;
  }

  // ---- where

  @Test
  void everyNodeFindsTheOwner() {
    Volume volume = nodes.create(nodes.a, "vol");
    NbdSession guest = open(volume, 5);
    for (SimNode asked : List.of(nodes.a, nodes.b, nodes.c)) {
      VolumeLocation found = location(asked);
      assertThat(found.owner()).isEqualTo("a");
      assertThat(found.local()).isEqualTo(asked == nodes.a);
      assertThat(found.uuid()).isEqualTo(volume.record().uuid());
      assertThat(found.size()).isEqualTo(SIZE);
      assertThat(found.state()).isEqualTo(VolumeState.SERVING);
      assertThat(found.clients()).isEqualTo(1);
    }
    guest.closed(true);
    assertThat(location(nodes.b).clients()).isZero();
  }

  @Test
  void afterAMigrationTheNewOwnerIsFound() {
    nodes.createFull(nodes.a, "vol");
    nodes.b.capCopy(1L);
    nodes.move(nodes.b, "vol");
    assertThat(location(nodes.a).owner()).isEqualTo("b");
    assertThat(location(nodes.a).local()).isFalse();
    assertThat(location(nodes.c).state()).isEqualTo(VolumeState.FETCHING);
    assertThat(location(nodes.c).origin()).isEqualTo("a");
    assertThat(location(nodes.c).missing()).isBetween(1L, (long) SIZE);
    nodes.b.capCopy(null);
    nodes.until(() -> location(nodes.c).state() == VolumeState.SERVING);
    assertThat(location(nodes.a).origin()).isNull();
    assertThat(location(nodes.a).missing()).isZero();
  }

  @Test
  void clientsOfAStandbyCount() {
    nodes.create(nodes.a, "vol");
    nodes.attach(nodes.b, "vol");
    NbdSession guest = open(nodes.b.volume("vol"), 5);
    assertThat(location(nodes.a).clients()).isEqualTo(1);
    refuses(nodes.a.byName().delete("vol"), Problem.Code.IN_USE, "open on node b");
    guest.closed(true);
  }

  @Test
  void nowhereIsNotTheSameAsUnknown() {
    refuses(nodes.a.byName().locate("vol"), Problem.Code.NOT_FOUND, "nor on any of its peers");
    nodes.create(nodes.a, "vol");
    nodes.isolate(nodes.a);
    refuses(nodes.b.byName().locate("vol"), Problem.Code.OWNER_UNREACHABLE, "no answer from a");
    refuses(nodes.b.byName().delete("vol"), Problem.Code.OWNER_UNREACHABLE, "no answer from a");
    refuses(nodes.b.byName().extend("vol", LARGER), Problem.Code.OWNER_UNREACHABLE, "no answer");
  }

  @Test
  void anUnreachableThirdNodeIsNotNeeded() {
    nodes.create(nodes.a, "vol");
    nodes.isolate(nodes.c);
    assertThat(location(nodes.b).owner()).isEqualTo("a");
    extend(nodes.b, LARGER);
    nodes.await(nodes.b.byName().delete("vol"));
  }

  // ---- content

  @Test
  void theContentsNameChangesWithWritesOnly() {
    Volume volume = nodes.create(nodes.a, "vol");
    NbdSession guest = open(volume, 5);
    String before = location(nodes.b).content();
    ok(read(guest, 0, 4096));
    assertThat(location(nodes.b).content()).isEqualTo(before).isNotEmpty();
    ok(write(guest, 0, 4096, 1));
    String written = location(nodes.b).content();
    assertThat(written).isNotEqualTo(before);
    RecordedReply zeroed = new RecordedReply();
    guest.writeZeroes(0, 4096, true, false, false, zeroed);
    ok(zeroed);
    assertThat(location(nodes.b).content()).isNotEqualTo(written);
    guest.closed(true);
  }

  @Test
  void aWriteUnderWayChangesTheContentsNameAtItsBeginAndAtItsEnd() {
    Volume volume = nodes.create(nodes.a, "vol");
    NbdSession guest = open(volume, 5);
    String before = volume.contentTag();
    nodes.a.storage().file("vol").hold();
    RecordedReply reply = write(guest, 0, 4096, 1);
    String during = volume.contentTag();
    assertThat(reply.outcome()).isNull();
    assertThat(during).isNotEqualTo(before);
    nodes.a.storage().file("vol").flow();
    ok(reply);
    assertThat(volume.contentTag()).isNotEqualTo(during);
    guest.closed(true);
  }

  @Test
  void theContentsNameChangesWithTheOwnerAndItsProcess() throws IOException {
    nodes.create(nodes.a, "vol");
    String first = location(nodes.c).content();
    nodes.kill(nodes.a);
    nodes.revive(nodes.a);
    String second = location(nodes.c).content();
    assertThat(second).isNotEqualTo(first);
    nodes.move(nodes.b, "vol");
    assertThat(location(nodes.c).content()).isNotEqualTo(second);
  }

  // ---- extend

  @Test
  void aVolumeThatGoesOnBeforeItGrowsKeepsItsSize() {
    Volume volume = nodes.create(nodes.a, "vol");
    CompletableFuture<Void> extended = nodes.a.byName().extend("vol", LARGER);
    setGoing(volume, extended);
    refuses(extended, Problem.Code.REFUSED, "changed meanwhile");
    assertThat(volume.record().size()).isEqualTo(SIZE);
    extend(nodes.a, LARGER);
    assertThat(volume.record().size()).isEqualTo(LARGER);
  }

  /** One change of records after the other lets the volume go on. */
  private void setGoing(Volume volume, CompletableFuture<Void> until) {
    nodes
        .a
        .volumes()
        .commits()
        .submit(
            () -> () -> null,
            (done, error) -> {
              volume.resume();
              if (!until.isDone()) {
                setGoing(volume, until);
              }
            });
  }

  @Test
  void extendsAtTheOwnerWhoeverIsAsked() {
    nodes.create(nodes.a, "vol");
    extend(nodes.b, SIZE + 4096);
    assertThat(nodes.a.storage().record("vol").size()).isEqualTo(SIZE + 4096);
    extend(nodes.a, LARGER);
    assertThat(location(nodes.c).size()).isEqualTo(LARGER);
    NbdSession guest = open(nodes.a.volume("vol"), 5);
    assertThat(nodes.a.volume("vol").info().size()).isEqualTo(LARGER);
    ok(write(guest, LARGER - 512, 512, 7));
    assertThat(ok(read(guest, LARGER - 1024, 1024)).bytes())
        .startsWith((byte) 0)
        .endsWith((byte) 7);
    guest.closed(true);
  }

  @Test
  void aConnectedGuestGoesOnAndSeesItsContent() {
    Volume volume = nodes.create(nodes.a, "vol");
    NbdSession guest = open(volume, 5);
    ok(write(guest, 8192, 4096, 3));
    extend(nodes.b, LARGER);
    assertThat(ok(read(guest, 8192, 4096)).bytes()).containsOnly(3);
    ok(write(guest, SIZE - 4096, 4096, 4));
    assertThat(volume.status().present()).isEqualTo(LARGER);
    guest.closed(true);
  }

  @Test
  void askedTwiceItGrowsOnce() {
    nodes.create(nodes.a, "vol");
    CompletableFuture<Void> first = nodes.b.byName().extend("vol", LARGER);
    CompletableFuture<Void> second = nodes.c.byName().extend("vol", LARGER);
    nodes.await(first);
    nodes.await(second);
    extend(nodes.b, LARGER);
    assertThat(nodes.a.volume("vol").record().size()).isEqualTo(LARGER);
  }

  @Test
  void neverShrinks() {
    nodes.create(nodes.a, "vol");
    refuses(
        soon(() -> nodes.a.byName().extend("vol", SIZE - 1)),
        Problem.Code.BAD_REQUEST,
        "volumes only grow");
    refuses(nodes.b.byName().extend("vol", SIZE - 1), Problem.Code.REFUSED, "volumes only grow");
    refuses(
        soon(() -> nodes.b.byName().extend("vol", 0)), Problem.Code.BAD_REQUEST, "can't have 0");
    assertThat(nodes.a.volume("vol").record().size()).isEqualTo(SIZE);
  }

  @Test
  void notWhileItIsStillCopied() {
    nodes.createFull(nodes.a, "vol");
    nodes.move(nodes.b, "vol");
    refuses(
        nodes.c.byName().extend("vol", LARGER), Problem.Code.REFUSED, "still copied from node a");
    nodes.until(() -> state(nodes.b, "vol") == VolumeState.SERVING);
    extend(nodes.c, LARGER);
    assertThat(nodes.b.volume("vol").record().size()).isEqualTo(LARGER);
  }

  @Test
  void notWhileItsGuestMayBeOnTheWay() {
    nodes.create(nodes.a, "vol");
    nodes.attach(nodes.b, "vol");
    refuses(nodes.c.byName().extend("vol", LARGER), Problem.Code.REFUSED, "is attached at node b");
    nodes.await(nodes.b.attacher().drop(Nodes.DOMAIN));
    extend(nodes.c, LARGER);
  }

  /** At any moment of the extension: the standby has the volume's size, whichever that is then. */
  @Test
  void noStandbyIsAttachedWhileItGrows() throws IOException {
    for (int micros = 0; micros < 60_000; micros += 500) {
      Nodes pair = new Nodes();
      pair.create(pair.a, "vol");
      CompletableFuture<Void> extended = pair.a.byName().extend("vol", LARGER);
      pair.time.run(Duration.ofNanos(1000L * micros));
      pair.await(pair.b.attacher().attach(new AttachStandby(Nodes.DOMAIN, List.of("vol"), null)));
      pair.until(extended::isDone);
      assertThat(pair.b.volume("vol").record().size())
          .as("after %d microseconds", micros)
          .isEqualTo(pair.a.volume("vol").record().size());
    }
  }

  @Test
  void aStandbyThatCouldNotBeAskedIsRefusedAtItsTakeover() {
    nodes.create(nodes.a, "vol");
    nodes.attach(nodes.b, "vol");
    NbdSession guest = open(nodes.b.volume("vol"), 99);
    nodes.isolate(nodes.b);
    extend(nodes.a, LARGER);
    nodes.wire(true);
    RecordedReply reply = write(guest, 0, 4096, 1);
    nodes.until(
        () -> {
          String trouble = nodes.b.volume("vol").trouble();
          return trouble != null && trouble.contains("was extended while it is open here");
        });
    assertThat(reply.outcome()).isNull();
    assertThat(state(nodes.a, "vol")).isEqualTo(VolumeState.SERVING);
    guest.closed(true);
    nodes.attach(nodes.b, "vol");
    assertThat(nodes.b.volume("vol").record().size()).isEqualTo(LARGER);
    nodes.move(nodes.b, "vol");
    assertThat(nodes.b.volume("vol").record().size()).isEqualTo(LARGER);
  }

  /** A takeover may come from a standby that can't be asked: at any moment of the extension. */
  @Test
  void aVolumeNeverGrowsAndLeavesAtTheSameTime() throws IOException {
    for (int micros = 0; micros < 60_000; micros += 250) {
      Nodes pair = new Nodes();
      pair.create(pair.a, "vol");
      pair.attach(pair.b, "vol");
      NbdSession guest = open(pair.b.volume("vol"), 99);
      pair.cut(pair.a, pair.b);
      CompletableFuture<Void> extended = pair.a.byName().extend("vol", LARGER);
      pair.time.run(Duration.ofNanos(1000L * micros));
      write(guest, 0, 4096, 1);
      pair.until(extended::isDone);
      pair.wire(true);
      pair.time.run(Duration.ofSeconds(5));
      boolean left = pair.b.volume("vol").isOwner();
      assertThat(left)
          .as("after %d microseconds", micros)
          .isEqualTo(extended.isCompletedExceptionally());
      Volume owned = left ? pair.b.volume("vol") : pair.a.volume("vol");
      assertThat(owned.isOwner()).as("after %d microseconds", micros).isTrue();
      assertThat(owned.record().size()).isEqualTo(left ? SIZE : LARGER);
    }
  }

  @Test
  void aRetainedCopyOfTheOldSizeIsReplacedOnTheWayBack() {
    nodes.createFull(nodes.a, "vol");
    nodes.move(nodes.b, "vol");
    nodes.until(() -> "b".equals(nodes.a.volume("vol").record().completeAt()));
    NbdSession guest = open(nodes.b.volume("vol"), 7);
    extend(nodes.a, LARGER);
    guest.closed(true);
    NbdSession later = open(nodes.b.volume("vol"), 8);
    ok(write(later, SIZE, 4096, 9));
    later.closed(true);

    nodes.move(nodes.a, "vol");
    nodes.until(() -> state(nodes.a, "vol") == VolumeState.SERVING);
    NbdSession back = open(nodes.a.volume("vol"), 9);
    assertThat(nodes.a.volume("vol").record().size()).isEqualTo(LARGER);
    assertThat(ok(read(back, SIZE, 4096)).bytes()).containsOnly(9);
    assertThat(ok(read(back, SIZE - 4096, 4096)).bytes()).containsOnly(1);
    back.closed(true);
  }

  @Test
  void aFullDiskLeavesItAsItWas() {
    Volume volume = nodes.create(nodes.a, "vol");
    nodes.a.storage().failNextCommit(new IOException("no space"));
    refuses(
        nodes.b.byName().extend("vol", LARGER),
        Problem.Code.REFUSED,
        "can't be extended: no space");
    NbdSession guest = open(volume, 5);
    ok(write(guest, SIZE - 4096, 4096, 1));
    guest.closed(true);
    extend(nodes.b, LARGER);
    assertThat(volume.record().size()).isEqualTo(LARGER);
  }

  // ---- delete

  @Test
  void deletesAtTheOwnerWhoeverIsAsked() {
    nodes.create(nodes.a, "vol");
    nodes.await(nodes.c.byName().delete("vol"));
    assertThat(nodes.a.volume("vol")).isNull();
    refuses(nodes.c.byName().delete("vol"), Problem.Code.NOT_FOUND, "there is no volume vol");
  }

  @Test
  void deletesRetainedCopiesToo() {
    nodes.createFull(nodes.a, "vol");
    nodes.move(nodes.b, "vol");
    nodes.until(() -> "b".equals(nodes.a.volume("vol").record().completeAt()));
    nodes.await(nodes.c.byName().delete("vol"));
    assertThat(nodes.a.volume("vol")).isNull();
    assertThat(nodes.b.volume("vol")).isNull();
  }

  @Test
  void deletesWhatIsStillCopied() {
    nodes.createFull(nodes.a, "vol");
    nodes.move(nodes.b, "vol");
    assertThat(state(nodes.b, "vol")).isEqualTo(VolumeState.FETCHING);
    nodes.await(nodes.a.byName().delete("vol"));
    assertThat(nodes.b.volume("vol")).isNull();
    nodes.until(
        () -> nodes.a.volume("vol") == null || nodes.a.volume("vol").record().completeAt() != null);
  }

  @Test
  void whatAnEarlierDeletionLeftIsDeleted() {
    nodes.createFull(nodes.a, "vol");
    nodes.move(nodes.b, "vol");
    nodes.until(() -> "b".equals(nodes.a.volume("vol").record().completeAt()));
    nodes.await(nodes.b.departures().delete(nodes.b.volume("vol")));
    assertThat(nodes.a.volume("vol")).isNotNull();
    nodes.await(nodes.c.byName().delete("vol"));
    assertThat(nodes.a.volume("vol")).isNull();
  }

  @Test
  void neverDeletesWhatIsInUse() {
    Volume volume = nodes.create(nodes.a, "vol");
    NbdSession guest = open(volume, 5);
    refuses(nodes.b.byName().delete("vol"), Problem.Code.IN_USE, "open on node a");
    assertThat(nodes.a.volume("vol")).isSameAs(volume);
    guest.closed(true);
  }

  // ---- readiness

  @Test
  void readinessSaysWhatAnAttachWouldSayAndChangesNothing() {
    nodes.createFull(nodes.a, "vol");
    nodes.await(nodes.a.attacher().check("vol"));
    nodes.await(nodes.b.attacher().check("vol"));
    assertThat(nodes.b.volume("vol")).isNull();
    nodes.b.storage().setFreeBytes(1 << 20);
    refuses(nodes.b.attacher().check("vol"), Problem.Code.NO_SPACE, "node b has 1 MiB free");
    refuses(nodes.b.attacher().check("other"), Problem.Code.OWNER_UNKNOWN, "is owned by none of");
    nodes.isolate(nodes.a);
    refuses(nodes.b.attacher().check("vol"), Problem.Code.OWNER_UNREACHABLE, "no answer from a");
    assertThat(nodes.b.volume("vol")).isNull();
  }
}
