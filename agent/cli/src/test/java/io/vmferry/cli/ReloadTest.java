// SPDX-License-Identifier: Apache-2.0
package io.vmferry.cli;

import static org.assertj.core.api.Assertions.assertThat;

import io.vmferry.api.Reloaded;
import java.io.IOException;
import java.nio.file.Files;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class ReloadTest extends CliFixture {
  @ParameterizedTest
  @ValueSource(strings = {"relay", "agent"})
  void saysWhatIsInForceAndWhatIsNot(String process) throws IOException {
    startRelay();
    startAgent();
    node.reloaded = new Reloaded(List.of("log.level: debug"), List.of("listen"));
    assertThat(run("reload", process))
        .isEqualTo(
            new Outcome(
                0,
                "in force: log.level: debug\n",
                "vmferry: listen is changed, but in force only after: systemctl restart vmferry-"
                    + process
                    + "\n"));
  }

  @ParameterizedTest
  @ValueSource(strings = {"relay", "agent"})
  void aRefusalFailsInTheWordsOfTheProcess(String process) throws IOException {
    startRelay();
    startAgent();
    node.reloaded = null;
    assertThat(run("reload", process))
        .isEqualTo(new Outcome(1, "", "vmferry: " + process + ": nothing is changed: no node\n"));
  }

  @Test
  void aWrongFileFailsBeforeTheProcessIsAsked() throws IOException {
    Files.writeString(configFile, "nod: a\n");
    Outcome outcome = run("reload", "relay");
    assertThat(outcome.exit()).isEqualTo(1);
    assertThat(outcome.err()).contains("unknown key");
  }

  @Test
  void anotherProcessIsAUsageError() {
    assertThat(run("reload", "libvirtd").exit()).isEqualTo(2);
  }
}
