// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.store;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.vmferry.api.Epoch;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Optional;
import java.util.UUID;
import org.junit.jupiter.api.Test;

/** Power loss at each primitive operation of some writes, with each way to lose the unforced. */
final class DurableFileCrashTest {

  private static final Path PATH = Path.of("/volumes/web/state");
  private static final UUID ID = new UUID(1, 2);
  private static final int WRITES = 3;

  /** Long enough to be torn. */
  private static String payload(int number) {
    return number + "x".repeat(2000);
  }

  private static DurableFile file(FileOps ops) {
    return new DurableFile(ops, PATH, "volume", 1 << 16);
  }

  /** Runs the writes; returns how many returned before the crash, or all. */
  private static int run(MemoryFileOps ops) throws IOException {
    int returned = 0;
    try {
      for (int i = 1; i <= WRITES; i++) {
        file(ops).write(new DurableFile.Content(ID, new Epoch(i, "a"), payload(i).getBytes(UTF_8)));
        returned = i;
      }
    } catch (MemoryFileOps.Crash e) {
      return returned;
    }
    return returned;
  }

  private static int recovered(MemoryFileOps ops) throws IOException {
    Optional<DurableFile.Content> content = file(ops).read();
    if (content.isEmpty()) {
      return 0;
    }
    int number = (int) content.get().epoch().number();
    assertThat(new String(content.get().payload(), UTF_8)).isEqualTo(payload(number));
    return number;
  }

  /** Returns the number of states tried. */
  private static int tryAll(String skipped) throws IOException {
    int states = 0;
    for (int crashAt = 0; ; crashAt++) {
      int models = 1;
      for (int m = 0; m < models; m++) {
        MemoryFileOps ops = new MemoryFileOps();
        ops.skip(skipped);
        ops.crashAt(crashAt);
        int returned = run(ops);
        models = LossModel.all(ops.unforced()).size();
        ops.crash(LossModel.all(ops.unforced()).get(m));
        int found = recovered(ops);
        assertThat(found).as("%s", ops.log()).isBetween(returned, returned + 1);
        // What a reader has acted on must stay, whatever the next power loss takes.
        ops.crash(LossModel.everything());
        assertThat(recovered(ops)).as("again: %s", ops.log()).isEqualTo(found);
        states++;
        if (returned == WRITES && crashAt >= ops.operations()) {
          return states;
        }
      }
      if (crashAt > 100) {
        return states;
      }
    }
  }

  @Test
  void neverLosesOrMixesAWriteThatReturned() throws IOException {
    assertThat(tryAll("nothing")).isGreaterThan(100);
  }

  /** A process that dies between rename and directory force leaves a name that isn't durable. */
  @Test
  void whatAReaderOfAKilledProcessSawStays() throws IOException {
    for (int crashAt = 0; crashAt < 30; crashAt++) {
      MemoryFileOps ops = new MemoryFileOps();
      ops.crashAt(crashAt);
      run(ops);
      ops.crashAt(Integer.MAX_VALUE);

      int seen = recovered(ops);
      ops.crash(LossModel.everything());

      assertThat(recovered(ops)).isEqualTo(seen);
    }
  }

  @Test
  void thisTestNoticesAMissingForce() {
    assertThatThrownBy(() -> tryAll("force"))
        .isInstanceOfAny(AssertionError.class, IOException.class);
  }

  @Test
  void thisTestNoticesAMissingDirectoryForce() {
    assertThatThrownBy(() -> tryAll("forceDirectory")).isInstanceOf(AssertionError.class);
    assertThatCode(() -> tryAll("nothing")).doesNotThrowAnyException();
  }
}
