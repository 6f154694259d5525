// SPDX-License-Identifier: Apache-2.0
package io.vmferry.coordinator.migration;

import static org.assertj.core.api.Assertions.assertThat;

import ch.qos.logback.classic.Level;
import ch.qos.logback.classic.Logger;
import ch.qos.logback.classic.spi.ILoggingEvent;
import ch.qos.logback.core.read.ListAppender;
import io.vmferry.api.VolumeState;
import io.vmferry.coordinator.hypervisor.DomainEvent.Kind;
import io.vmferry.coordinator.hypervisor.DomainState;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.slf4j.LoggerFactory;

/** What the agent logs of a handover says what it is about, as the relay's lines do. */
final class DomainLogTest extends CoordinatorFixture {
  private static final Map<String, String> BEFORE =
      Map.of("volume", "vol", "epoch", "1@hosta", "migration", VM.toString(), "peer", "hosta");

  private final Logger logger = (Logger) LoggerFactory.getLogger("io.vmferry.coordinator");
  private final ListAppender<ILoggingEvent> lines = new ListAppender<>();
  private Level level;

  @BeforeEach
  void listen() {
    level = logger.getLevel();
    logger.setLevel(Level.INFO);
    lines.start();
    logger.addAppender(lines);
  }

  @AfterEach
  void stop() {
    logger.detachAppender(lines);
    logger.setLevel(level);
  }

  private static Map<String, String> about(ILoggingEvent line) {
    return line.getKeyValuePairs() == null
        ? Map.of()
        : line.getKeyValuePairs().stream()
            .collect(Collectors.toMap(pair -> pair.key, pair -> pair.value.toString()));
  }

  private List<Map<String, String>> said() {
    return lines.list.stream().map(DomainLogTest::about).toList();
  }

  @Test
  void aTakeoverThatHasToWaitAndIsDone() throws Exception {
    incoming();
    domain(DomainState.RUNNING);
    relay.takeoverProblem = "hosta does not answer";
    emit(Kind.RESUMED_MIGRATED);
    assertThat(said()).as("%s", lines.list).containsExactly(BEFORE);
    relay.takeoverProblem = null;
    scheduler.advance(Duration.ofSeconds(5));
    assertThat(said())
        .last()
        .isEqualTo(Map.of("volume", "vol", "epoch", "1@hosta", "migration", VM.toString()));
  }

  @Test
  void aStandbyThatIsDropped() throws Exception {
    incoming();
    domain(DomainState.SHUT_OFF);
    emit(Kind.STOPPED_FAILED);
    scheduler.advance(Duration.ofSeconds(5));
    assertThat(said()).as("%s", lines.list).containsExactly(BEFORE);
  }

  @Test
  void aCopyThatIsDeleted() {
    relay.put("vol", VolumeState.RELEASED, VM, 0, "hosta", null);
    start();
    assertThat(said()).as("%s", lines.list).containsExactly(BEFORE);
  }

  @Test
  void aRefusal() throws Exception {
    start();
    relay.attachProblem = "hosta does not answer";
    var unused =
        new Hooks(SOCKET, coordinator, timeline).call("vm", "migrate", "begin", "-", xml("hosta"));
    scheduler.settle();
    assertThat(said())
        .as("%s", lines.list)
        .containsExactly(Map.of("volume", "vol", "migration", VM.toString()));
  }

  @Test
  void aGuestThatWasPausedBecauseItsRelayWasGone() {
    domain(DomainState.PAUSED_IO_ERROR);
    relay.put("vol", VolumeState.SERVING, VM);
    start();
    scheduler.advance(Duration.ofSeconds(5));
    assertThat(said())
        .as("%s", lines.list)
        .isNotEmpty()
        .allSatisfy(keys -> assertThat(keys).containsEntry("migration", VM.toString()));
  }
}
