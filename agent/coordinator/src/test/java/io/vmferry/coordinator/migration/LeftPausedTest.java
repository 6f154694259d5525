// SPDX-License-Identifier: Apache-2.0
package io.vmferry.coordinator.migration;

import static io.vmferry.coordinator.hypervisor.DomainState.PAUSED_MIGRATION;
import static io.vmferry.coordinator.hypervisor.DomainState.PAUSED_POSTCOPY;
import static io.vmferry.coordinator.hypervisor.DomainState.PAUSED_POSTCOPY_FAILED;
import static org.assertj.core.api.Assertions.assertThat;

import io.vmferry.coordinator.hypervisor.DomainState;
import io.vmferry.coordinator.migration.LeftPaused.AtPeers;
import io.vmferry.coordinator.migration.LeftPaused.Owner;
import io.vmferry.coordinator.migration.LeftPaused.Sight;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** The whole table: every combination of what can be seen. */
class LeftPausedTest {
  private static final Set<DomainState> CANDIDATES =
      Set.of(PAUSED_MIGRATION, PAUSED_POSTCOPY, PAUSED_POSTCOPY_FAILED);

  private static List<Sight> all() {
    List<Sight> all = new ArrayList<>();
    for (DomainState state : DomainState.values()) {
      for (Owner owner : Owner.values()) {
        for (AtPeers atPeers : AtPeers.values()) {
          for (boolean underWay : new boolean[] {false, true}) {
            for (boolean old : new boolean[] {false, true}) {
              all.add(new Sight(state, underWay, old, owner, atPeers));
            }
          }
        }
      }
    }
    return all;
  }

  @Test
  void resumesOnlyWhereMemoryFitsTheDiskAndNobodyElseRuns() {
    assertThat(all().stream().filter(sight -> LeftPaused.of(sight) == LeftPaused.RESUME))
        .containsExactly(new Sight(PAUSED_MIGRATION, false, true, Owner.HERE, AtPeers.NOBODY));
  }

  @Test
  void hasNothingToDoWithOtherStatesNorWithMigrationsUnderWay() {
    for (Sight sight : all()) {
      boolean left = CANDIDATES.contains(sight.state()) && !sight.underWay();
      assertThat(LeftPaused.of(sight) != LeftPaused.NOTHING).as(sight.toString()).isEqualTo(left);
    }
  }

  @Test
  void decidesNothingYoung() {
    assertThat(all().stream().filter(sight -> !sight.old()).map(LeftPaused::of))
        .containsOnly(LeftPaused.NOTHING, LeftPaused.LOOK_AGAIN);
  }

  @ParameterizedTest
  @CsvSource({
    "PAUSED_MIGRATION, HERE, NOBODY, RESUME",
    "PAUSED_MIGRATION, HERE, SOMEBODY, OPEN_AT_PEER",
    "PAUSED_MIGRATION, HERE, UNKNOWN, PEER_UNKNOWN",
    "PAUSED_MIGRATION, HERE_AGAIN, NOBODY, MEMORY_TOO_OLD",
    "PAUSED_MIGRATION, ELSEWHERE, NOBODY, GUEST_WENT_ON",
    "PAUSED_MIGRATION, UNKNOWN, NOBODY, OWNER_UNKNOWN",
    "PAUSED_POSTCOPY, HERE, NOBODY, MEMORY_INCOMPLETE",
    "PAUSED_POSTCOPY, ELSEWHERE, NOBODY, GUEST_WENT_ON",
    "PAUSED_POSTCOPY_FAILED, HERE, NOBODY, MEMORY_INCOMPLETE",
    "PAUSED_POSTCOPY_FAILED, HERE_AGAIN, NOBODY, MEMORY_TOO_OLD",
    "PAUSED_POSTCOPY_FAILED, ELSEWHERE, SOMEBODY, GUEST_WENT_ON",
  })
  void saysTheRest(DomainState state, Owner owner, AtPeers atPeers, LeftPaused verdict) {
    assertThat(LeftPaused.of(new Sight(state, false, true, owner, atPeers))).isEqualTo(verdict);
  }
}
