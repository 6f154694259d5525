// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay;

import static org.assertj.core.api.Assertions.assertThat;

import io.vmferry.api.AgentStatus;
import io.vmferry.api.Problem;
import io.vmferry.api.ProblemException;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import org.junit.jupiter.api.Test;

final class AgentProblemTest {
  private static CompletableFuture<AgentStatus> status(String problem) {
    return CompletableFuture.completedFuture(
        new AgentStatus("a", "1", problem == null, problem, List.of()));
  }

  @Test
  void anAgentThatIsConnectedHasNone() {
    assertThat(new AgentProblem(() -> status(null)).ask().join()).isEmpty();
  }

  @Test
  void anAgentWithoutLibvirtNamesTheReason() {
    assertThat(new AgentProblem(() -> status("no libvirtd")).ask().join()).hasValue("no libvirtd");
  }

  @Test
  void anAgentThatIsGoneIsOne() {
    AgentProblem problem =
        new AgentProblem(
            () ->
                CompletableFuture.failedFuture(
                    new ProblemException(Problem.Code.UNAVAILABLE, "the agent does not answer")));
    assertThat(problem.ask().join()).hasValue("the agent does not answer");
  }

  @Test
  void anAgentThatHangsIsWaitedForOnlySoLong() {
    AgentProblem problem = new AgentProblem(CompletableFuture::new, Duration.ofMillis(10));
    assertThat(problem.ask().join().orElseThrow())
        .contains("does not answer within", "journalctl -u vmferry-agent");
  }
}
