// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.handover;

import static org.assertj.core.api.Assertions.assertThat;

import io.vmferry.api.Epoch;
import io.vmferry.relay.volume.Volume;
import io.vmferry.relay.volume.VolumeRecord;
import java.time.Duration;
import org.junit.jupiter.api.Test;

/** The origin learns that it isn't needed any more: once it is so, and in spite of everything. */
final class CompletionNoticesTest {
  private final Nodes nodes = new Nodes();
  private final Volume source = nodes.createFull(nodes.a, "vol");

  CompletionNoticesTest() throws Exception {}

  private VolumeRecord there() {
    return nodes.b.volume("vol").record();
  }

  private void untilComplete() {
    nodes.until(() -> there().held() == VolumeRecord.Held.ALL);
  }

  /** At that very moment: the origin can't be told. */
  private void untilCompleteAndCut() {
    nodes.until(
        () -> {
          if (there().held() == VolumeRecord.Held.ALL) {
            nodes.wire(false);
            return true;
          }
          return false;
        });
  }

  private void untilTold() {
    nodes.until(() -> there().origin() == null);
  }

  @Test
  void theOriginIsToldAndForgotten() {
    nodes.move(nodes.b, "vol");
    untilComplete();
    untilTold();
    assertThat(source.record().completeAt()).isEqualTo("b");
    assertThat(nodes.a.storage().record("vol").completeAt()).as("durably").isEqualTo("b");
    assertThat(nodes.b.storage().record("vol").origin()).as("durably").isNull();
  }

  @Test
  void theOriginIsNotToldBeforeEveryBlockIsDurable() {
    nodes.move(nodes.b, "vol");
    nodes.until(
        () -> {
          if (there().held() != VolumeRecord.Held.ALL) {
            assertThat(source.record().completeAt()).isNull();
          }
          return source.record().completeAt() != null;
        });
    assertThat(nodes.b.storage().record("vol").held()).isEqualTo(VolumeRecord.Held.ALL);
  }

  @Test
  void aNoticeThatDidNotArriveIsRepeated() {
    nodes.move(nodes.b, "vol");
    untilCompleteAndCut();
    nodes.run(Duration.ofSeconds(12));
    assertThat(there().origin()).as("not forgotten before it knows").isNotNull();
    nodes.wire(true);
    untilTold();
    assertThat(source.record().completeAt()).isEqualTo("b");
  }

  /** A relay that is killed again and again would never come to the next attempt. */
  @Test
  void theOriginIsToldAsSoonAsItCanBeReached() throws Exception {
    nodes.move(nodes.b, "vol");
    untilCompleteAndCut();
    nodes.b.kill();
    nodes.b.start();
    nodes.run(Duration.ofMillis(500));
    nodes.wire(true);
    nodes.run(Duration.ofMillis(500));
    assertThat(source.record().completeAt()).isEqualTo("b");
  }

  @Test
  void aNoticeIsRepeatedAfterARestart() throws Exception {
    nodes.move(nodes.b, "vol");
    untilCompleteAndCut();
    nodes.run(Duration.ofSeconds(1));
    nodes.b.kill();
    nodes.b.start();
    nodes.wire(true);
    untilTold();
    assertThat(source.record().completeAt()).isEqualTo("b");
  }

  /** At its start a relay tells origins that may not know: of what is complete, and only that. */
  @Test
  void aRestartInFetchModeTellsNothing() throws Exception {
    nodes.move(nodes.b, "vol");
    nodes.b.kill();
    nodes.b.capCopy(1L);
    nodes.revive(nodes.b);
    nodes.run(Duration.ofSeconds(12));
    assertThat(there().held()).isEqualTo(VolumeRecord.Held.JOURNAL);
    assertThat(there().origin()).isNotNull();
    assertThat(source.record().completeAt()).isNull();
  }

  @Test
  void anOriginThatTookTheVolumeBackIsNotDisturbed() {
    nodes.move(nodes.b, "vol");
    untilCompleteAndCut();
    nodes.run(Duration.ofSeconds(1));
    nodes.wire(true);
    nodes.move(nodes.a, "vol");
    nodes.run(Duration.ofSeconds(8));
    assertThat(source.record().epoch()).isEqualTo(new Epoch(3, "a"));
    assertThat(source.isOwner()).isTrue();
    assertThat(source.record().completeAt()).isNull();
  }
}
