// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.volume;

import static org.assertj.core.api.Assertions.assertThat;

import io.vmferry.relay.exec.DiskTasks;
import io.vmferry.relay.sim.VirtualTime;
import java.io.IOException;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.List;
import java.util.Queue;
import org.junit.jupiter.api.Test;

final class CommitsTest {
  private final VirtualTime time = new VirtualTime();
  private final Queue<Runnable> disk = new ArrayDeque<>();
  private final List<String> log = new ArrayList<>();
  private final Commits commits = new Commits(new DiskTasks(disk::add, time.new NodeLoop()));

  private void submit(String what) {
    commits.<String>submit(
        () -> {
          log.add("plan " + what);
          return () -> what;
        },
        (result, error) -> log.add("applied " + result));
  }

  private void diskDoesOne() {
    disk.remove().run();
    time.run(Duration.ZERO);
  }

  @Test
  void eachChangeIsPlannedAfterTheOneBeforeWasApplied() {
    submit("one");
    submit("two");
    assertThat(log).containsExactly("plan one");
    diskDoesOne();
    assertThat(log).containsExactly("plan one", "applied one", "plan two");
    diskDoesOne();
    assertThat(log).last().isEqualTo("applied two");
    assertThat(disk).isEmpty();
  }

  @Test
  void aPlanMayBeNothing() {
    commits.submit(() -> null, (result, error) -> log.add(result + " " + error));
    submit("two");
    assertThat(log).containsExactly("null null", "plan two");
  }

  @Test
  void aFailedChangeTellsAndTheNextHasItsTurn() {
    commits.submit(
        () ->
            () -> {
              throw new IOException("disk");
            },
        (result, error) -> log.add(error.getMessage()));
    submit("two");
    diskDoesOne();
    assertThat(log).containsExactly("disk", "plan two");
  }

  @Test
  void aPlanThatThrowsFailsItsChangeOnly() {
    commits.submit(
        () -> {
          throw new IllegalStateException("bug");
        },
        (result, error) -> log.add(error.getMessage()));
    submit("two");
    assertThat(log).hasSize(2);
    assertThat(log.get(0)).contains("bug");
    assertThat(log.get(1)).isEqualTo("plan two");
  }

  @Test
  void theNextHasItsTurnAlthoughApplyingThrew() {
    commits.submit(
        () -> () -> "one",
        (result, error) -> {
          throw new IllegalStateException("bug");
        });
    submit("two");
    diskDoesOne();
    assertThat(log).containsExactly("plan two");
  }

  @Test
  void aChangeMaySubmitAnother() {
    commits.<String>submit(() -> () -> "one", (result, error) -> submit("two"));
    diskDoesOne();
    diskDoesOne();
    assertThat(log).containsExactly("plan two", "applied two");
  }
}
