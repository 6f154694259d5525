// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.disk;

import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class StateLockTest {
  @TempDir Path directory;

  @Test
  void aSecondRelayIsKeptAwayUntilTheFirstEnds() throws IOException {
    Path state = directory.resolve("state");
    StateLock first = StateLock.take(state);
    assertThatThrownBy(() -> StateLock.take(state))
        .isInstanceOf(IOException.class)
        .hasMessage(
            "another relay already uses %s; stop that one, or configure another paths.state",
            state);
    first.close();
    StateLock.take(state).close();
  }
}
