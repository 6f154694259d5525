// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.handover;

import static io.vmferry.relay.handover.Nodes.open;
import static io.vmferry.relay.handover.Nodes.read;
import static io.vmferry.relay.handover.Nodes.write;
import static org.assertj.core.api.Assertions.assertThat;

import io.vmferry.api.Epoch;
import io.vmferry.api.GuestStatus;
import io.vmferry.api.VolumeState;
import io.vmferry.nbd.NbdSession;
import io.vmferry.relay.store.DiskErrors;
import io.vmferry.relay.volume.RecordedReply;
import io.vmferry.relay.volume.Volume;
import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import org.junit.jupiter.api.Test;

/** The destination's half of phase 5. */
final class StandbyHandoverTest {
  private final Nodes nodes = new Nodes();
  private final Volume source = nodes.create(nodes.a, "vol");

  StandbyHandoverTest() throws Exception {}

  private void owns(String name) {
    nodes.until(() -> nodes.b.volume(name).isOwner());
  }

  @Test
  void theFirstWriteTakesOverAndIsServed() {
    Volume standby = nodes.attach(nodes.b, "vol");
    RecordedReply reply = write(open(standby, 9), 0, 4096, 3);
    assertThat(reply.outcome()).isNull();
    nodes.until(() -> "ok".equals(reply.outcome()));
    assertThat(standby.record().epoch()).isEqualTo(new Epoch(2, "b"));
    assertThat(Nodes.state(nodes.a, "vol")).isEqualTo(VolumeState.RELEASED);
  }

  @Test
  void whatTheSourceWroteIsReadAtTheDestination() {
    NbdSession guest = open(source, 5);
    RecordedReply written = write(guest, 8192, 4096, 7);
    nodes.until(() -> "ok".equals(written.outcome()));
    guest.closed(true);

    nodes.move(nodes.b, "vol");
    RecordedReply reply = read(open(nodes.b.volume("vol"), 9), 8192, 4096);
    nodes.until(() -> "ok".equals(reply.outcome()));
    assertThat(reply.bytes()).containsOnly(7);
  }

  @Test
  void oneWriteTakesAllVolumesOfTheDomain() {
    nodes.create(nodes.a, "two");
    nodes.attach(nodes.b, "vol", "two");
    write(open(nodes.b.volume("vol"), 9), 0, 512, 1);
    owns("vol");
    owns("two");
    assertThat(nodes.b.volume("two").record().epoch()).isEqualTo(new Epoch(2, "b"));
  }

  @Test
  void theAgentsWordTakesOverWithoutAnyWrite() {
    nodes.attach(nodes.b, "vol");
    nodes.await(nodes.b.handover().domainRuns(Nodes.DOMAIN));
    assertThat(Nodes.state(nodes.b, "vol")).isNotEqualTo(VolumeState.STANDBY);
    assertThat(nodes.b.handover().domainRuns(Nodes.DOMAIN)).isCompleted();
  }

  @Test
  void isHeldWhileTheGuestRunsAtTheSource() {
    open(source, 5);
    nodes.a.guest = GuestStatus.State.ACTIVE;
    Volume standby = nodes.attach(nodes.b, "vol");
    RecordedReply reply = write(open(standby, 9), 0, 4096, 3);
    nodes.run(Duration.ofSeconds(5));

    assertThat(reply.outcome()).isNull();
    assertThat(standby.status().waitingFor()).contains("in use at its owner");
    assertThat(source.record().state()).isEqualTo(VolumeState.SERVING);

    nodes.a.guest = GuestStatus.State.STOPPED_FOR_MIGRATION;
    nodes.until(() -> "ok".equals(reply.outcome()));
    assertThat(standby.trouble()).isNull();
  }

  @Test
  void stopsWhenNobodyHereWantsItAnyMore() {
    open(source, 5);
    nodes.a.guest = GuestStatus.State.ACTIVE;
    Volume standby = nodes.attach(nodes.b, "vol");
    NbdSession guest = open(standby, 9);
    write(guest, 0, 4096, 3);
    nodes.run(Duration.ofSeconds(2));
    guest.closed(true);
    nodes.run(Duration.ofSeconds(2));

    nodes.a.guest = GuestStatus.State.STOPPED_FOR_MIGRATION;
    nodes.run(Duration.ofSeconds(5));

    assertThat(source.record().state()).isEqualTo(VolumeState.SERVING);
    assertThat(standby.trouble()).isNull();
  }

  @Test
  void isAskedAgainWhenTheLinkIsBack() {
    Volume standby = nodes.attach(nodes.b, "vol");
    nodes.wire(false);
    RecordedReply reply = write(open(standby, 9), 0, 4096, 3);
    nodes.run(Duration.ofSeconds(3));
    assertThat(reply.outcome()).isNull();
    assertThat(standby.status().waitingFor()).contains("node a");

    nodes.wire(true);
    nodes.until(() -> "ok".equals(reply.outcome()));
  }

  @Test
  void aLostAnswerIsAskedForAgain() {
    Volume standby = nodes.attach(nodes.b, "vol");
    RecordedReply reply = write(open(standby, 9), 0, 4096, 3);
    nodes.until(() -> source.record().state() == VolumeState.RELEASED);
    nodes.wire(false);
    nodes.run(Duration.ofSeconds(3));
    assertThat(standby.record().state()).isEqualTo(VolumeState.STANDBY);

    nodes.wire(true);
    nodes.until(() -> "ok".equals(reply.outcome()));
    assertThat(standby.record().epoch()).isEqualTo(new Epoch(2, "b"));
  }

  @Test
  void isMadeDurableBeforeTheWriteIsServed() {
    Volume standby = nodes.attach(nodes.b, "vol");
    nodes.b.storage().failNextCommit(DiskErrors.noSpace());
    RecordedReply reply = write(open(standby, 9), 0, 4096, 3);
    nodes.until(() -> standby.trouble() != null);

    assertThat(reply.outcome()).isNull();
    assertThat(standby.trouble()).contains("can't be made durable");
    nodes.until(() -> "ok".equals(reply.outcome()));
    assertThat(nodes.b.storage().record("vol").epoch()).isEqualTo(new Epoch(2, "b"));
  }

  @Test
  void findsTheNewOwnerWhenTheVolumeMovedElsewhere() {
    Volume standby = nodes.attach(nodes.b, "vol");
    nodes.move(nodes.c, "vol");
    nodes.until(() -> nodes.c.volume("vol").record().state() == VolumeState.SERVING);

    RecordedReply reply = write(open(standby, 9), 0, 4096, 3);
    nodes.until(() -> "ok".equals(reply.outcome()));
    assertThat(standby.record().epoch()).isEqualTo(new Epoch(3, "b"));
  }

  @Test
  void aGuestThatGoesOnAtTheSourceTakesTheVolumeBack() {
    NbdSession atSource = open(source, 5);
    nodes.a.guest = GuestStatus.State.STOPPED_FOR_MIGRATION;
    nodes.move(nodes.b, "vol");

    RecordedReply reply = write(atSource, 4096, 4096, 4);
    nodes.until(() -> "ok".equals(reply.outcome()));
    assertThat(source.record().epoch()).isEqualTo(new Epoch(3, "a"));
    RecordedReply there = read(atSource, 0, 4096);
    nodes.until(() -> "ok".equals(there.outcome()));
    assertThat(there.bytes()).as("written at b").containsOnly(1);
  }

  @Test
  void theRunOfADomainWithoutVolumesElsewhereIsDoneAtOnce() {
    CompletableFuture<Void> done = nodes.b.handover().domainRuns(Nodes.DOMAIN);
    assertThat(done).isCompleted();
  }
}
