// SPDX-License-Identifier: Apache-2.0
package io.vmferry.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.core.type.TypeReference;
import io.vmferry.api.AgentStatus;
import io.vmferry.api.AgentStatus.DomainStatus;
import io.vmferry.api.Json;
import io.vmferry.api.RelayStatus.PeerStatus;
import io.vmferry.api.VolumeState;
import io.vmferry.api.VolumeStatus.FetchStatus;
import io.vmferry.cli.status.NodeStatus;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class StatusTest extends CliFixture {
  private static final long GIB = 1L << 30;

  @BeforeEach
  void start() throws IOException {
    startRelay();
    startAgent();
  }

  @Test
  void everythingIsShownInTables() {
    node.volumes.put("db", FakeNode.serving("db", 20 * GIB));
    node.volumes.put("web-1", FakeNode.fetching("web-1", 10 * GIB, 5 * GIB, "host-b to answer"));
    node.peers.add(new PeerStatus("host-b", "192.0.2.2:7820", true, 20.25, null));
    node.peers.add(new PeerStatus("host-c", "192.0.2.3:7820", false, null, "connection refused"));
    node.agentStatus =
        new AgentStatus(
            "host-a",
            "1.0",
            true,
            null,
            List.of(
                new DomainStatus("web", FakeNode.UUID_1, "running", List.of("web-1"), 5, null)));
    assertThat(run("status").out())
        .isEqualTo(
            """
            node host-a, vmferry 1.0, rate limit none

            VOLUME  STATE         SIZE  PRESENT  EPOCH     CLIENTS  ORIGIN        RATE   ETA
            db      SERVING   20.0 GiB  100.0 %  3@host-a        0  -                -     -
            web-1   FETCHING  10.0 GiB   50.0 %  3@host-a        1  host-b  47.7 MiB/s  2:03
                waits for: host-b to answer

            DOMAIN  STATE    PHASE  VOLUMES
            web     running      5  web-1

            PEER    ADDRESS         LINK      RTT
            host-b  192.0.2.2:7820  up    20.3 ms
            host-c  192.0.2.3:7820  down        -
                connection refused
            """);
  }

  @Test
  void anEmptyNodeSaysSo() {
    Outcome outcome = run("status");
    assertThat(outcome.exit()).isZero();
    assertThat(outcome.out()).contains("no volumes", "no domains with vmferry disks");
  }

  @Test
  void aFailedVolumeAndACompleteReplicaAreNoted() {
    node.volumes.put(
        "bad",
        FakeNode.volume("bad", GIB, VolumeState.SERVING, GIB, 0, null, null, "state file broken"));
    assertThat(run("status").out()).contains("    FAILED: state file broken\n");
  }

  @Test
  void anAgentThatDoesNotAnswerIsNoFailure() throws IOException {
    stopServers();
    startRelay();
    Outcome outcome = run("status");
    assertThat(outcome.exit()).isZero();
    assertThat(outcome.out()).contains("domains unknown: the agent does not answer on ");
  }

  @Test
  void libvirtBeingDownIsShown() {
    node.agentStatus = new AgentStatus("host-a", "1.0", false, "connection refused", List.of());
    assertThat(run("status").out()).contains("libvirt is not connected: connection refused");
  }

  @Test
  void aFetchThatHasEndedIsNoLongerInTheTable() {
    FetchStatus ended = new FetchStatus("host-b", true, 1, 2, 3, 4, 3, 0, null, 0);
    node.volumes.put(
        "db", FakeNode.volume("db", GIB, VolumeState.SERVING, GIB, 0, ended, null, null));
    assertThat(run("status").out()).contains("100.0 %").doesNotContain("host-b");
  }

  @Test
  void jsonIsTheRecordsOfTheApi() throws IOException {
    node.volumes.put("db", FakeNode.serving("db", GIB));
    String json = run("status", "--json").out();
    NodeStatus status =
        Json.decodeLenient(json.getBytes(StandardCharsets.UTF_8), new TypeReference<>() {});
    assertThat(status.relay().volumes()).containsExactly(FakeNode.serving("db", GIB));
    assertThat(status.agent()).isEqualTo(node.agentStatus);
    assertThat(status.agentProblem()).isNull();
  }

  @Test
  void watchingEndsWhenNothingIsFetched() {
    node.volumes.put("db", FakeNode.serving("db", GIB));
    Outcome outcome = run("status", "--watch", "--until-complete");
    assertThat(outcome.exit()).isZero();
    assertThat(pauses).isEmpty();
    assertThat(outcome.out()).isEqualTo("12:00:00Z  nothing is being fetched\n");
  }

  @Test
  void aDumbTerminalGetsALinePerChange() {
    node.volumes.put("db", FakeNode.fetching("db", 1000, 421, "the link"));
    pause =
        millis -> {
          pauses.add(millis);
          if (pauses.size() == 2) {
            node.volumes.put("db", FakeNode.fetching("db", 1000, 800, null));
          } else if (pauses.size() == 3) {
            node.volumes.put("db", FakeNode.serving("db", 1000));
          }
        };
    Outcome outcome = run("status", "--watch", "--until-complete");
    assertThat(pauses).containsExactly(1000L, 1000L, 1000L);
    assertThat(outcome.out())
        .isEqualTo(
            """
            12:00:00Z  db  42.1 %  47.7 MiB/s  ETA 2:03  waits for: the link
            12:00:00Z  db  80.0 %  47.7 MiB/s  ETA 2:03
            12:00:00Z  nothing is being fetched
            """);
  }

  @Test
  void aRealTerminalIsRedrawnWithABar() {
    terminal = true;
    environment.put("TERM", "xterm");
    node.volumes.put("db", FakeNode.fetching("db", 1000, 500, null));
    pause = millis -> node.volumes.put("db", FakeNode.serving("db", 1000));
    String out = run("status", "--watch", "--until-complete").out();
    assertThat(out.split("\033\\[H\033\\[J", -1)).hasSize(3);
    assertThat(out).contains("db  [============>           ]  50.0 %  47.7 MiB/s  ETA 2:03\n");
  }

  @Test
  void aTerminalThatSaysItIsDumbIsNotRedrawn() {
    terminal = true;
    environment.put("TERM", "dumb");
    assertThat(run("status", "--watch", "--until-complete").out()).doesNotContain("\033");
  }

  @Test
  void watchingOutlivesARestartOfTheRelay() throws IOException {
    node.volumes.put("db", FakeNode.fetching("db", 1000, 500, null));
    pause =
        millis -> {
          pauses.add(millis);
          if (pauses.size() == 1) {
            stopServers();
          } else {
            node.volumes.put("db", FakeNode.serving("db", 1000));
            try {
              startRelay();
            } catch (IOException e) {
              throw new AssertionError(e);
            }
          }
        };
    Outcome outcome = run("status", "--watch", "--until-complete");
    assertThat(outcome.exit()).isZero();
    assertThat(outcome.out()).contains("50.0 %", "the relay does not answer", "nothing is being");
  }

  @Test
  void optionsThatExcludeEachOtherAreAUsageError() {
    assertThat(run("status", "--json", "--watch").exit()).isEqualTo(2);
    assertThat(run("status", "--until-complete").exit()).isEqualTo(2);
  }

  @Test
  void theRateIsShownAndSet() {
    assertThat(run("rate").out()).isEqualTo("none\n");
    assertThat(run("rate", "50 MiB/s").exit()).isZero();
    assertThat(node.rateLimit).isEqualTo(50L << 20);
    assertThat(run("rate").out()).isEqualTo("50.0 MiB/s\n");
    assertThat(run("rate", "none").exit()).isZero();
    assertThat(node.rateLimit).isNull();
  }

  @Test
  void aRateThatIsNoneIsAUsageError() {
    Outcome outcome = run("rate", "fast");
    assertThat(outcome.exit()).isEqualTo(2);
    assertThat(outcome.err()).contains("'fast' is not a rate; allowed: ", ", or none");
  }
}
