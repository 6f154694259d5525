// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.handover;

import static io.vmferry.relay.handover.Nodes.open;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.vmferry.api.Problem;
import io.vmferry.api.ProblemException;
import io.vmferry.api.VolumeState;
import io.vmferry.nbd.NbdSession;
import io.vmferry.relay.volume.Volume;
import org.junit.jupiter.api.Test;

final class DeparturesTest {
  private final Nodes nodes = new Nodes();

  DeparturesTest() throws Exception {}

  private void refuses(Volume volume, Problem.Code code, String reason) {
    assertThatThrownBy(() -> nodes.a.departures().delete(volume))
        .isInstanceOfSatisfying(
            ProblemException.class, e -> assertThat(e.problem().code()).isEqualTo(code))
        .hasMessageContaining(reason);
    assertThat(nodes.a.volume("vol")).isSameAs(volume);
  }

  @Test
  void deletesWhatNobodyNeeds() {
    Volume volume = nodes.create(nodes.a, "vol");
    nodes.await(nodes.a.departures().delete(volume));
    assertThat(nodes.a.volume("vol")).isNull();
    assertThat(nodes.a.storage().record("vol")).isNull();
  }

  @Test
  void refusesWhileAClientHasItOpen() {
    Volume volume = nodes.create(nodes.a, "vol");
    NbdSession guest = open(volume, 5);
    refuses(volume, Problem.Code.IN_USE, "process 5");
    guest.closed(true);
    nodes.await(nodes.a.departures().delete(volume));
  }

  @Test
  void refusesWhileTheNewOwnerStillCopiesFromHere() {
    Volume volume = nodes.createFull(nodes.a, "vol");
    nodes.move(nodes.b, "vol");
    refuses(volume, Problem.Code.REFUSED, "node b still copies");
    nodes.until(() -> "b".equals(volume.record().completeAt()));
    nodes.await(nodes.a.departures().delete(volume));
  }

  @Test
  void refusesAStandbyThatItsOwnerStillCopiesFrom() {
    Volume volume = nodes.createFull(nodes.a, "vol");
    nodes.move(nodes.b, "vol");
    nodes.attach(nodes.a, "vol");
    assertThat(volume.record().state()).isEqualTo(VolumeState.STANDBY);
    assertThat(volume.record().completeAt()).as("b is not complete yet").isNull();
    refuses(volume, Problem.Code.REFUSED, "node b still copies");
  }

  @Test
  void aStandbyLearnsThatItsOwnerIsComplete() {
    Volume volume = nodes.createFull(nodes.a, "vol");
    nodes.move(nodes.b, "vol");
    nodes.attach(nodes.a, "vol");
    nodes.until(() -> nodes.b.volume("vol").record().origin() == null);
    assertThat(volume.record().completeAt()).isEqualTo("b");
    nodes.await(nodes.a.attacher().drop(Nodes.DOMAIN));
    nodes.await(nodes.a.departures().delete(volume));
  }

  @Test
  void aDeletedStandbyIsForgottenByItsOwner() {
    Volume volume = nodes.create(nodes.a, "vol");
    nodes.move(nodes.b, "vol");
    nodes.until(() -> nodes.b.volume("vol").record().origin() == null);
    assertThat(nodes.b.volume("vol").replicas().stale("a")).isNotNull();
    nodes.await(nodes.a.departures().delete(volume));
    nodes.until(() -> nodes.b.volume("vol").replicas().stale("a") == null);
    nodes.until(() -> nodes.b.volume("vol").record().replicas().isEmpty());
  }
}
