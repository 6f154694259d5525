// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.volume;

import static org.assertj.core.api.Assertions.assertThat;

import io.vmferry.api.VolumeStatus;
import io.vmferry.relay.map.BlockMap;
import io.vmferry.relay.map.HeapBlockMap;
import org.junit.jupiter.api.Test;

final class ReplicasTest {
  private final Replicas replicas = new Replicas();
  private final BlockMap one = HeapBlockMap.allClear(8);
  private final BlockMap two = HeapBlockMap.allClear(8);

  @Test
  void aChangeIsMarkedForEveryReplica() {
    replicas.put("a", one);
    replicas.put("c", two);
    replicas.mark(2, 4);
    assertThat(one.cardinality()).isEqualTo(2);
    assertThat(two.allSet(2, 4)).isTrue();
  }

  @Test
  void aForgottenReplicaHasNoMap() {
    replicas.put("a", one);
    replicas.remove("a");
    replicas.remove("x");
    replicas.mark(0, 8);
    assertThat(replicas.stale("a")).isNull();
    assertThat(one.cardinality()).isZero();
  }

  @Test
  void aNewMapReplacesTheOld() {
    replicas.put("a", one);
    replicas.put("a", two);
    replicas.mark(0, 1);
    assertThat(one.cardinality()).isZero();
    assertThat(replicas.stale("a")).isSameAs(two);
  }

  @Test
  void clearForgetsAll() {
    replicas.put("a", one);
    replicas.clear();
    assertThat(replicas.status(4096)).isEmpty();
  }

  @Test
  void statusNeverExceedsTheSizeOfTheVolume() {
    replicas.put("a", one);
    replicas.mark(7, 8);
    assertThat(replicas.status(7 * 4096 + 512))
        .containsExactly(new VolumeStatus.ReplicaStatus("a", 4096));
    replicas.mark(0, 8);
    assertThat(replicas.status(7 * 4096 + 512).get(0).stale()).isEqualTo(7 * 4096 + 512);
  }

  @Test
  void aPreCopyBeginsWithAllStaleAndGoesOnWithItsMap() {
    long first = replicas.beginPreCopy("a", 0, 8);
    assertThat(replicas.stale("a").cardinality()).isEqualTo(8);
    replicas.send("a", 0, 8, new InFlight());
    replicas.mark(2, 3);
    long second = replicas.beginPreCopy("a", first, 8);
    assertThat(replicas.isPreCopying("a", first)).as("the session before").isFalse();
    assertThat(replicas.isPreCopying("a", second)).isTrue();
    assertThat(replicas.stale("a").cardinality()).isEqualTo(1);
    replicas.beginPreCopy("a", first, 8);
    assertThat(replicas.stale("a").cardinality()).as("not the last session").isEqualTo(8);
    assertThat(replicas.isPreCopying("a", 0)).isFalse();
  }

  @Test
  void whatIsBeingWrittenStaysStaleWhenItIsSent() {
    replicas.beginPreCopy("a", 0, 8);
    InFlight inFlight = new InFlight();
    InFlight.Ticket write = new InFlight.Ticket();
    inFlight.beginWrite(write, 2, 4);
    replicas.send("a", 0, 8, inFlight);
    assertThat(replicas.stale("a").cardinality()).isEqualTo(2);
    assertThat(replicas.stale("a").allSet(2, 4)).isTrue();
    inFlight.endWrite(write);
    replicas.send("a", 3, 4, inFlight);
    assertThat(replicas.stale("a").allSet(2, 3)).isTrue();
    assertThat(replicas.stale("a").get(3)).isFalse();
  }

  @Test
  void aPreCopyEndsWithItsMap() {
    long session = replicas.beginPreCopy("a", 0, 8);
    replicas.remove("a");
    assertThat(replicas.isPreCopying("a", session)).isFalse();
    session = replicas.beginPreCopy("a", 0, 8);
    replicas.clear();
    assertThat(replicas.isPreCopying("a", session)).isFalse();
    session = replicas.beginPreCopy("a", 0, 8);
    replicas.put("a", one);
    assertThat(replicas.isPreCopying("a", session)).isFalse();
  }
}
