// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.handover;

import static org.assertj.core.api.Assertions.assertThat;

import ch.qos.logback.classic.Level;
import ch.qos.logback.classic.Logger;
import ch.qos.logback.classic.spi.ILoggingEvent;
import ch.qos.logback.core.read.ListAppender;
import io.vmferry.api.VolumeState;
import io.vmferry.relay.volume.Volume;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.slf4j.LoggerFactory;

/** What is logged of a handover says, at both nodes, what it is about. */
final class HandoverLogTest {
  private final Logger logger = (Logger) LoggerFactory.getLogger("io.vmferry.relay");
  private final ListAppender<ILoggingEvent> lines = new ListAppender<>();
  private Level level;
  private final Nodes nodes = new Nodes();

  HandoverLogTest() throws Exception {}

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

  @Test
  void eachLineOfAMoveNamesVolumeEpochPeerAndMigration() {
    Volume volume = nodes.create(nodes.a, "vol");
    nodes.attach(nodes.a, "vol"); // as the hook does when the domain starts here
    nodes.until(() -> Nodes.DOMAIN.equals(volume.record().domain()));
    lines.list.clear();

    nodes.move(nodes.b, "vol");
    nodes.until(() -> Nodes.state(nodes.b, "vol") == VolumeState.SERVING);
    List<Map<String, String>> about = lines.list.stream().map(HandoverLogTest::about).toList();
    assertThat(about)
        .as("%s", lines.list)
        .hasSizeGreaterThanOrEqualTo(5)
        .allSatisfy(
            keys ->
                assertThat(keys)
                    .containsEntry("volume", "vol")
                    .containsEntry("migration", Nodes.DOMAIN.toString())
                    .containsKeys("epoch", "peer"));
    assertThat(about.stream().map(keys -> keys.get("epoch") + " with " + keys.get("peer")))
        .contains("1@a with b", "1@a with a", "2@b with b", "2@b with a");
  }
}
