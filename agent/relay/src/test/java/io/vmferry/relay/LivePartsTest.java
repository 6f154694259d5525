// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay;

import static org.assertj.core.api.Assertions.assertThat;

import io.vmferry.config.Config;
import io.vmferry.config.ConfigException;
import io.vmferry.config.PreCopyMode;
import io.vmferry.config.RunningConfig;
import io.vmferry.relay.copy.RateLimit;
import java.io.IOException;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.Test;

final class LivePartsTest {
  private static final Config NONE = config("none");

  private static Config config(String rate) {
    try {
      return Config.parse("test", "node: a\ncopy: {rate-limit: " + rate + "}");
    } catch (ConfigException e) {
      throw new AssertionError(e);
    }
  }

  @Test
  void theCapFollowsTheFile() throws IOException {
    RateLimit limit = new RateLimit(null, 0);
    RunningConfig.Part part = LiveParts.rateLimit(NONE, limit, Runnable::run);
    RunningConfig.Change change = part.prepare(config("1 MiB/s")).orElseThrow();
    assertThat(limit.get()).as("only prepared").isNull();
    change.apply().run();
    assertThat(change.text()).isEqualTo("copy.rate-limit: 1048576 bytes/s");
    assertThat(limit.get()).isEqualTo(1L << 20);
    part.prepare(NONE).orElseThrow().apply().run();
    assertThat(limit.get()).isNull();
  }

  @Test
  void aCapThatWasSetByHandStaysWhileTheFileDoesNotChange() throws IOException {
    RateLimit limit = new RateLimit(null, 0);
    RunningConfig.Part part = LiveParts.rateLimit(NONE, limit, Runnable::run);
    limit.set(5L);
    assertThat(part.prepare(NONE)).isEmpty();
    assertThat(limit.get()).isEqualTo(5L);
  }

  @Test
  void newStandbysCopyAsTheFileSays() throws Exception {
    AtomicReference<PreCopyMode> mode = new AtomicReference<>(PreCopyMode.NONE);
    RunningConfig.Part part = LiveParts.preCopy(mode);
    assertThat(part.prepare(NONE)).isEmpty();
    Config full = Config.parse("test", "node: a\ncopy: {pre-copy: full}");
    RunningConfig.Change change = part.prepare(full).orElseThrow();
    assertThat(mode.get()).as("only prepared").isEqualTo(PreCopyMode.NONE);
    change.apply().run();
    assertThat(change.text()).isEqualTo("copy.pre-copy: full");
    assertThat(mode.get()).isEqualTo(PreCopyMode.FULL);
  }
}
