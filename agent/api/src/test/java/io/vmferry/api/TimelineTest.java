// SPDX-License-Identifier: Apache-2.0
package io.vmferry.api;

import static org.assertj.core.api.Assertions.assertThat;

import java.time.Clock;
import java.time.Instant;
import java.time.ZoneOffset;
import org.junit.jupiter.api.Test;

class TimelineTest {
  private final Instant time = Instant.parse("2026-01-02T03:04:05Z");
  private final Timeline timeline = new Timeline("hosta", Clock.fixed(time, ZoneOffset.UTC));

  @Test
  void keepsOrderAndNumbers() {
    timeline.add("vm", "hook", "migrate begin");
    timeline.add("vm", "phase", "1");

    assertThat(timeline.after(0))
        .containsExactly(
            new TimelineEvent(1, time, "hosta", "vm", "hook", "migrate begin"),
            new TimelineEvent(2, time, "hosta", "vm", "phase", "1"));
  }

  @Test
  void givesOnlyWhatIsNew() {
    timeline.add("vm", "a", "");
    timeline.add("vm", "b", "");

    assertThat(timeline.after(1)).extracting(TimelineEvent::kind).containsExactly("b");
    assertThat(timeline.after(2)).isEmpty();
  }

  @Test
  void forgetsTheOldest() {
    for (int i = 0; i <= Timeline.MAX_EVENTS; i++) {
      timeline.add("vm", "k", "");
    }

    assertThat(timeline.after(0)).hasSize(Timeline.MAX_EVENTS);
    assertThat(timeline.after(0).get(0).seq()).isEqualTo(2);
  }
}
