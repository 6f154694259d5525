// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.volume;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.datatype.jsr310.JavaTimeModule;
import io.vmferry.api.Epoch;
import io.vmferry.api.VolumeState;
import io.vmferry.relay.volume.VolumeRecord.Held;
import java.time.Instant;
import java.util.List;
import java.util.UUID;
import org.junit.jupiter.api.Test;

final class VolumeRecordTest {
  private static final UUID DOMAIN = new UUID(5, 6);
  private static final Instant NOON = Instant.parse("2026-11-21T12:00:00Z");

  private final VolumeRecord created = VolumeRecord.created("vol", new UUID(1, 2), 4096, "a");
  private final VolumeRecord standby =
      VolumeRecord.standby("vol", new UUID(1, 2), 4096, new Epoch(1, "a"), DOMAIN);
  private final VolumeRecord fetching = standby.takenOver(new Epoch(2, "b"), "a");

  @Test
  void aNewVolumeIsOwnedAndComplete() {
    assertThat(created.state()).isEqualTo(VolumeState.SERVING);
    assertThat(created.epoch()).isEqualTo(new Epoch(1, "a"));
    assertThat(created.held()).isEqualTo(Held.ALL);
  }

  @Test
  void aTakeoverNotesTheOriginAndItsReplica() {
    assertThat(fetching.state()).isEqualTo(VolumeState.FETCHING);
    assertThat(fetching.origin()).isEqualTo(new VolumeRecord.Origin("a", new Epoch(2, "b")));
    assertThat(fetching.replicas()).containsExactly("a");
    assertThat(fetching.held()).isEqualTo(Held.JOURNAL);
    assertThat(fetching.domain()).isEqualTo(DOMAIN);
  }

  @Test
  void aReleaseToTheOriginForgetsIt() {
    VolumeRecord released = fetching.released(new Epoch(3, "a"), NOON);
    assertThat(released.state()).isEqualTo(VolumeState.RELEASED);
    assertThat(released.origin()).isNull();
    assertThat(released.replicas()).isEmpty();
  }

  @Test
  void aReleaseToAThirdNodeKeepsTheOriginOfAnIncompleteReplica() {
    assertThat(fetching.released(new Epoch(3, "c"), NOON).origin()).isEqualTo(fetching.origin());
  }

  @Test
  void aTakeoverForgetsWhereItWasComplete() {
    VolumeRecord released = created.released(new Epoch(2, "b"), NOON).completeAt("b", NOON);
    VolumeRecord back = released.attached(new Epoch(2, "b"), DOMAIN);
    assertThat(back.completeAt()).isEqualTo("b");
    assertThat(back.completeSince()).isEqualTo(NOON);
    VolumeRecord owner = back.takenOver(new Epoch(3, "a"), "b");
    assertThat(owner.completeAt()).isNull();
    assertThat(owner.completeSince()).isNull();
  }

  @Test
  void isCompleteElsewhereSinceTheFirstTimeItWasTold() {
    VolumeRecord released = created.released(new Epoch(2, "b"), NOON).completeAt("b", NOON);
    assertThat(released.completeAt("b", NOON.plusSeconds(9))).isEqualTo(released);
  }

  @Test
  void aReplicaThatIsAttachedAndDroppedIsCompleteElsewhereSinceThen() {
    VolumeRecord released = created.released(new Epoch(2, "b"), NOON).completeAt("b", NOON);
    VolumeRecord dropped = released.attached(new Epoch(2, "b"), DOMAIN).dropped();
    assertThat(dropped.completeSince()).isEqualTo(NOON);
  }

  @Test
  void completingMovesOnlyAnOwner() {
    assertThat(fetching.completed().state()).isEqualTo(VolumeState.SERVING);
    VolumeRecord released = fetching.released(new Epoch(3, "c"), NOON);
    assertThat(released.completed().state()).isEqualTo(VolumeState.RELEASED);
    assertThat(released.attached(new Epoch(3, "c"), null).completed().state())
        .isEqualTo(VolumeState.STANDBY);
    assertThat(released.completed().held()).isEqualTo(Held.ALL);
  }

  @Test
  void illegalChangesThrow() {
    assertThatThrownBy(() -> standby.released(new Epoch(2, "c"), NOON))
        .isInstanceOf(IllegalStateException.class);
    assertThatThrownBy(() -> created.takenOver(new Epoch(2, "a"), "b"))
        .isInstanceOf(IllegalStateException.class);
    assertThatThrownBy(created::dropped).isInstanceOf(IllegalStateException.class);
  }

  @Test
  void replicasComeAndGo() {
    assertThat(fetching.replicas()).containsExactly("a");
    assertThat(fetching.withoutReplica("a").replicas()).isEmpty();
    assertThat(fetching.withoutReplica("x")).isEqualTo(fetching);
  }

  @Test
  void aDroppedStandbyIsOfNoDomain() {
    VolumeRecord back =
        created.released(new Epoch(2, "b"), NOON).attached(new Epoch(2, "b"), DOMAIN);
    assertThat(back.dropped().domain()).isNull();
    assertThat(back.dropped().state()).isEqualTo(VolumeState.RELEASED);
    assertThat(back.dropped().held()).isEqualTo(Held.ALL);
  }

  @Test
  void aPromotionNotesWhatItEndedAndForgetsTheHandover() {
    VolumeRecord released = created.released(new Epoch(2, "b"), NOON).completeAt("b", NOON);
    VolumeRecord promoted = released.promoted(new Epoch(3, "a"));
    assertThat(promoted.state()).isEqualTo(VolumeState.SERVING);
    assertThat(promoted.epoch()).isEqualTo(new Epoch(3, "a"));
    assertThat(promoted.promotedOver()).isEqualTo(new Epoch(2, "b"));
    assertThat(promoted.release()).isNull();
    assertThat(promoted.completeAt()).isNull();
    assertThat(promoted.completeSince()).isNull();
    assertThat(promoted.released(new Epoch(4, "c"), NOON).promotedOver()).isNull();
  }

  @Test
  void anIncompleteReplicaIsNeverPromoted() {
    VolumeRecord released = fetching.released(new Epoch(3, "c"), NOON);
    assertThatThrownBy(() -> released.promoted(new Epoch(4, "b")))
        .isInstanceOf(IllegalStateException.class)
        .hasMessageContaining("lacks blocks");
  }

  @Test
  void aForkNotesTheOtherOwnerAndKeepsNoReplicas() {
    VolumeRecord forked = fetching.forked(new Epoch(3, "a"));
    assertThat(forked.state()).isEqualTo(VolumeState.FORKED);
    assertThat(forked.epoch()).isEqualTo(new Epoch(2, "b"));
    assertThat(forked.rival()).isEqualTo(new Epoch(3, "a"));
    assertThat(forked.replicas()).isEmpty();
    VolumeRecord whole = forked.completed();
    assertThat(whole.state()).isEqualTo(VolumeState.FORKED);
    assertThat(whole.promoted(new Epoch(4, "b")).rival()).isNull();
  }

  @Test
  void aReleaseNotesWhen() {
    VolumeRecord released = created.released(new Epoch(2, "b"), NOON);
    VolumeRecord.Release release = new VolumeRecord.Release(new Epoch(2, "b"), NOON);
    assertThat(released.release()).isEqualTo(release);
    VolumeRecord attached = released.attached(new Epoch(3, "c"), DOMAIN);
    assertThat(attached.dropped().release()).isEqualTo(release);
    assertThat(attached.takenOver(new Epoch(4, "a"), "c").release()).isNull();
  }

  @Test
  void aVolumeFromAServerForgetsItWhenItIsComplete() {
    VolumeRecord.Source from = new VolumeRecord.Source("nbd://server/disk", null);
    VolumeRecord fetched = VolumeRecord.fetched("v", UUID.randomUUID(), 512, "a", from);
    assertThat(fetched.state()).isEqualTo(VolumeState.FETCHING);
    assertThat(fetched.held()).isEqualTo(VolumeRecord.Held.JOURNAL);
    assertThat(fetched.source()).isEqualTo(from);
    assertThat(fetched.origin()).isNull();
    assertThat(fetched.completed().state()).isEqualTo(VolumeState.SERVING);
    assertThat(fetched.completed().source()).isNull();
  }

  @Test
  void survivesJson() throws Exception {
    JsonMapper json = JsonMapper.builder().addModule(new JavaTimeModule()).build();
    VolumeRecord released = created.released(new Epoch(2, "b"), NOON).completeAt("b", NOON);
    for (VolumeRecord record :
        List.of(
            created,
            standby,
            fetching,
            released,
            VolumeRecord.fetched(
                "v", UUID.randomUUID(), 1, "a", new VolumeRecord.Source("nbds://s/d", "/ca")),
            released.promoted(new Epoch(3, "a")),
            fetching.forked(new Epoch(3, "a")))) {
      byte[] text = json.writeValueAsBytes(record);
      assertThat(json.readValue(text, VolumeRecord.class)).isEqualTo(record);
    }
  }
}
