// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.handover;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.vmferry.api.AttachCheck;
import io.vmferry.api.AttachStandby;
import io.vmferry.api.CheckAttach;
import io.vmferry.api.Problem;
import io.vmferry.api.ProblemException;
import io.vmferry.relay.volume.VolumeRecord;
import java.time.Duration;
import java.util.List;
import org.junit.jupiter.api.Test;

/** Node a asks whether b would take its volumes. */
final class AttachChecksTest {
  private final Nodes nodes = new Nodes();

  AttachChecksTest() throws Exception {}

  private AttachCheck check(String owner, String... names) {
    return nodes.await(
        nodes.a.attachChecks().ask(new CheckAttach("b", Nodes.DOMAIN, List.of(names), owner)));
  }

  /** What the hook at b would say. */
  private String refusal(String owner, String... names) {
    AttachStandby request = new AttachStandby(Nodes.DOMAIN, List.of(names), owner);
    try {
      return nodes.problem(nodes.b.attacher().attach(request)).message();
    } catch (ProblemException e) {
      return e.getMessage(); // of what is here already
    }
  }

  @Test
  void whatWouldWorkHasNoProblemAndChangesNothing() {
    VolumeRecord before = nodes.create(nodes.a, "vol").record();
    assertThat(check("a", "vol")).isEqualTo(new AttachCheck(List.of(), List.of()));
    assertThat(check(null, "vol")).isEqualTo(new AttachCheck(List.of(), List.of()));
    nodes.run(Duration.ofSeconds(1));
    assertThat(nodes.a.volume("vol").record()).isEqualTo(before);
    assertThat(nodes.b.volume("vol")).isNull();
    assertThat(nodes.b.storage().record("vol")).isNull();
  }

  @Test
  void aRetainedReplicaIsLeftAsItIs() {
    nodes.create(nodes.b, "vol");
    nodes.move(nodes.a, "vol");
    nodes.until(() -> nodes.b.volume("vol").record().completeAt() != null);
    VolumeRecord before = nodes.b.volume("vol").record();
    assertThat(check("a", "vol").there()).isEmpty();
    nodes.run(Duration.ofSeconds(1));
    assertThat(nodes.b.volume("vol").record()).isEqualTo(before);
  }

  @Test
  void theSentencesAreThoseOfAnAttach() {
    nodes.createFull(nodes.a, "large");
    nodes.create(nodes.a, "taken");
    nodes.create(nodes.b, "taken");
    nodes.b.storage().setFreeBytes(1 << 20);
    assertThat(check("a", "taken", "large", "taken").there())
        .containsExactly(refusal("a", "taken"), refusal("a", "large"));
  }

  @Test
  void aForkIsFoundAtTheOtherNode() {
    nodes.create(nodes.a, "vol");
    nodes.move(nodes.b, "vol");
    nodes.until(() -> nodes.a.volume("vol").record().completeAt() != null);
    nodes.isolate(nodes.b);
    nodes.await(nodes.a.promotion().promote(nodes.a.volume("vol"), true));
    nodes.wire(true);
    nodes.until(() -> nodes.b.volume("vol").isForked());
    assertThat(check("a", "vol").there())
        .singleElement()
        .isEqualTo(refusal("a", "vol"))
        .asString()
        .contains("two owners");
  }

  @Test
  void whatIsNotOwnedHereCantBeGivenAway() {
    nodes.create(nodes.c, "elsewhere");
    nodes.attach(nodes.a, "elsewhere");
    AttachCheck check = check(null, "elsewhere", "nowhere");
    assertThat(check.here())
        .satisfiesExactly(
            first -> assertThat(first).startsWith("volume elsewhere is owned by node c;"),
            second -> assertThat(second).startsWith("there is no volume nowhere on node a;"));
    assertThat(check.there()).containsExactly(refusal(null, "nowhere"));
  }

  @Test
  void whatIsStillAtAnNbdServerCantBeGivenAway() {
    VolumeRecord.Source from = new VolumeRecord.Source("nbd://server/disk", null);
    nodes.await(nodes.a.volumes().create("vol", Nodes.SIZE, from));
    assertThat(check("a", "vol").here())
        .singleElement()
        .asString()
        .startsWith("volume vol is still copied from nbd://server/disk; ")
        .isSubstringOf(refusal("a", "vol"));
  }

  @Test
  void anAgentThatCantTakeADomainInIsAProblemThere() {
    nodes.create(nodes.a, "vol");
    nodes.b.agentProblem("libvirtd is gone");
    assertThat(check("a", "vol").there()).containsExactly("on node b, libvirtd is gone");
  }

  @Test
  void anotherSocketThereIsAProblem() throws Exception {
    nodes.create(nodes.a, "vol");
    nodes.b.nbdSocket("/srv/run/nbd.sock");
    nodes.kill(nodes.b);
    nodes.revive(nodes.b);
    assertThat(check("a", "vol").there())
        .singleElement()
        .asString()
        .contains("/run/vmferry/nbd.sock", "/srv/run/nbd.sock", "paths.run");
  }

  @Test
  void aNodeThatDoesNotAnswerIsAProblemThere() {
    nodes.create(nodes.a, "vol");
    nodes.isolate(nodes.b);
    assertThat(check("a", "vol").there())
        .singleElement()
        .asString()
        .startsWith("node b can't be reached from node a: ");
  }

  @Test
  void onlyPeersCanBeAsked() {
    for (String node : List.of("a", "zz")) {
      CheckAttach request = new CheckAttach(node, Nodes.DOMAIN, List.of("vol"), null);
      assertThatThrownBy(() -> nodes.a.attachChecks().ask(request))
          .isInstanceOfSatisfying(
              ProblemException.class,
              e -> assertThat(e.problem().code()).isEqualTo(Problem.Code.BAD_REQUEST))
          .hasMessageContaining("its peers are b, c");
    }
  }
}
