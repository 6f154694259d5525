// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.handover;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.protobuf.ByteString;
import io.vmferry.api.PeerProbe;
import io.vmferry.api.Problem;
import io.vmferry.api.ProblemException;
import io.vmferry.relay.peer.wire.Frame;
import io.vmferry.relay.peer.wire.Probe;
import io.vmferry.relay.sim.SimNode;
import java.time.Duration;
import org.junit.jupiter.api.Test;

final class PeerProbesTest {
  private final Nodes nodes = new Nodes();

  PeerProbesTest() throws Exception {}

  private PeerProbe probe(String node) {
    return nodes.await(nodes.a.probes().probe(node));
  }

  @Test
  void tellsRoundTripClockAndCertificate() {
    PeerProbe probe = probe("b");
    assertThat(probe.problem()).isNull();
    assertThat(probe.wayBackProblem()).isNull();
    assertThat(probe.rttMillis()).isBetween(19.0, 30.0);
    assertThat(Math.abs(probe.skewMillis())).isLessThan(10);
    assertThat(probe.certificateEnd()).isEqualTo(SimNode.CERTIFICATE_END);
  }

  @Test
  void tellsHowFarTheOtherClockIsAheadOrBehind() {
    nodes.b.wallClockAhead(Duration.ofSeconds(5));
    assertThat(probe("b").skewMillis()).isBetween(4990L, 5010L);
    nodes.b.wallClockAhead(Duration.ofSeconds(-7));
    assertThat(probe("b").skewMillis()).isBetween(-7010L, -6990L);
  }

  @Test
  void aWayBackThatIsCutIsNamed() {
    nodes.cut(nodes.b, nodes.a);
    assertThat(probe("b").wayBackProblem()).isEqualTo("cut");
  }

  @Test
  void aPeerThatIsNotThereIsAProblem() {
    nodes.isolate(nodes.b);
    assertThat(probe("b").problem()).contains("the link is down");
  }

  @Test
  void aLinkThatEndsWithTheQuestionLosesLargeMessages() {
    var probe = nodes.a.probes().probe("b");
    nodes.isolate(nodes.b);
    assertThat(nodes.await(probe).problem())
        .startsWith("it is connected, but a message of 32 KiB did not come through: ");
  }

  @Test
  void onlyPeersAreProbed() {
    assertThatThrownBy(() -> nodes.a.probes().probe("zz"))
        .isInstanceOfSatisfying(
            ProblemException.class,
            e -> assertThat(e.problem().code()).isEqualTo(Problem.Code.NOT_FOUND));
  }

  @Test
  void theAnswerIsAsLongAsTheQuestion() {
    ByteString padding = ByteString.copyFrom(new byte[12345]);
    Frame answer =
        nodes
            .ask(nodes.b, "a", Frame.newBuilder().setProbe(Probe.newBuilder().setPadding(padding)))
            .only();
    assertThat(answer.getProbed().getPadding()).isEqualTo(padding);
  }
}
