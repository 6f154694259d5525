// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.handover;

import static io.vmferry.relay.handover.Nodes.open;
import static io.vmferry.relay.handover.Nodes.write;
import static org.assertj.core.api.Assertions.assertThat;

import io.vmferry.api.Epoch;
import io.vmferry.api.GuestStatus;
import io.vmferry.api.Problem;
import io.vmferry.api.VolumeState;
import io.vmferry.nbd.NbdSession;
import io.vmferry.relay.volume.RecordedReply;
import io.vmferry.relay.volume.Volume;
import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import org.junit.jupiter.api.Test;

/**
 * A standby that may have been made owner does not go before the other node has said that it
 * wasn't.
 */
final class OpenTakeoversTest {
  private final Nodes nodes = new Nodes();
  private final Volume source = nodes.create(nodes.a, "vol");

  OpenTakeoversTest() throws Exception {}

  private CompletableFuture<Void> drop() {
    return nodes.b.attacher().drop(Nodes.DOMAIN);
  }

  private Problem notDropped() {
    Problem problem = nodes.problem(drop());
    assertThat(nodes.b.storage().record("vol")).isNotNull();
    return problem;
  }

  private boolean gone() {
    return nodes.b.volume("vol") == null && nodes.b.storage().record("vol") == null;
  }

  /** The guest at b writes; a releases; the answer is lost; the guest ends. */
  private Volume grantedUnheard() {
    Volume standby = nodes.attach(nodes.b, "vol");
    NbdSession guest = open(standby, 9);
    write(guest, 0, 4096, 3);
    nodes.until(() -> source.record().state() == VolumeState.RELEASED);
    nodes.wire(false);
    guest.closed(true);
    nodes.run(Duration.ofSeconds(3));
    assertThat(standby.record().state()).isEqualTo(VolumeState.STANDBY);
    return standby;
  }

  @Test
  void whatWasNeverAskedForGoesThoughTheOwnerIsLost() {
    nodes.attach(nodes.b, "vol");
    nodes.wire(false);
    nodes.await(drop());
    assertThat(gone()).isTrue();
  }

  @Test
  void aGrantThatWasNotHeardKeepsTheStandbyUntilItIs() {
    Volume standby = grantedUnheard();
    Problem unknown = notDropped();
    assertThat(unknown.code()).isEqualTo(Problem.Code.OWNER_UNREACHABLE);
    assertThat(unknown.message()).contains("node a does not say");

    nodes.wire(true);
    Problem owner = notDropped();
    assertThat(owner.code()).isEqualTo(Problem.Code.REFUSED);
    assertThat(owner.message()).contains("was released to this node by node a");
    nodes.until(standby::isOwner);
    assertThat(standby.record().epoch()).isEqualTo(new Epoch(2, "b"));
    nodes.await(drop());
    assertThat(standby.isOwner()).isTrue();
  }

  @Test
  void theSourcesGuestGoesOnAfterwards() {
    NbdSession atSource = open(source, 5);
    nodes.a.guest = GuestStatus.State.STOPPED_FOR_MIGRATION;
    grantedUnheard();
    notDropped();
    RecordedReply reply = write(atSource, 4096, 4096, 4);
    nodes.run(Duration.ofSeconds(2));
    assertThat(reply.outcome()).isNull();

    nodes.wire(true);
    nodes.until(() -> "ok".equals(reply.outcome()));
    assertThat(source.record().epoch()).isEqualTo(new Epoch(3, "a"));
  }

  @Test
  void aProcessThatStartsDoesNotTrustWhatItDoesNotKnow() throws Exception {
    grantedUnheard();
    nodes.b.kill();
    nodes.b.start();
    assertThat(notDropped().code()).isEqualTo(Problem.Code.OWNER_UNREACHABLE);

    nodes.wire(true);
    assertThat(notDropped().code()).isEqualTo(Problem.Code.REFUSED);
    nodes.until(() -> nodes.b.volume("vol").isOwner());
  }

  @Test
  void aRequestThatNeverArrivedLetsTheStandbyGoWhenTheOwnerSaysSo() {
    Volume standby = nodes.attach(nodes.b, "vol");
    nodes.wire(false);
    NbdSession guest = open(standby, 9);
    write(guest, 0, 4096, 3);
    nodes.run(Duration.ofSeconds(2));
    guest.closed(true);
    nodes.run(Duration.ofSeconds(2));
    assertThat(notDropped().code()).isEqualTo(Problem.Code.OWNER_UNREACHABLE);

    nodes.wire(true);
    nodes.await(drop());
    assertThat(gone()).isTrue();
    assertThat(source.record().state()).isEqualTo(VolumeState.SERVING);
  }

  @Test
  void aRefusalIsAnAnswer() {
    open(source, 5);
    nodes.a.guest = GuestStatus.State.ACTIVE;
    Volume standby = nodes.attach(nodes.b, "vol");
    NbdSession guest = open(standby, 9);
    write(guest, 0, 4096, 3);
    nodes.until(() -> standby.trouble() != null);
    assertThat(standby.trouble()).contains("in use at its owner");
    guest.closed(true);
    nodes.wire(false);
    nodes.await(drop());
    assertThat(gone()).isTrue();
  }

  @Test
  void aDeletionByHandAsksToo() {
    Volume standby = grantedUnheard();
    Problem problem = nodes.problem(nodes.b.departures().delete(standby));
    assertThat(problem.code()).isEqualTo(Problem.Code.OWNER_UNREACHABLE);
    nodes.wire(true);
    assertThat(nodes.problem(nodes.b.departures().delete(standby)).code())
        .isEqualTo(Problem.Code.REFUSED);
    nodes.until(standby::isOwner);
  }

  @Test
  void aRetainedReplicaThatAskedInVainKeepsItsStaleMap() {
    nodes.move(nodes.b, "vol");
    nodes.until(() -> nodes.b.volume("vol").record().origin() == null);
    nodes.attach(nodes.a, "vol");
    nodes.wire(false);
    NbdSession guest = open(source, 9);
    write(guest, 0, 4096, 3);
    nodes.run(Duration.ofSeconds(2));
    guest.closed(true);
    nodes.run(Duration.ofSeconds(2));

    nodes.wire(true);
    nodes.await(nodes.a.attacher().drop(Nodes.DOMAIN));
    assertThat(source.record().state()).isEqualTo(VolumeState.RELEASED);
    assertThat(nodes.b.volume("vol").replicas().stale("a")).isNotNull();
  }
}
