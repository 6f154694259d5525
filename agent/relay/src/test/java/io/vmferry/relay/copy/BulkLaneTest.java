// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.copy;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.vmferry.relay.sim.VirtualTime;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

final class BulkLaneTest {
  private static final int REQUEST = 256 << 10;
  private static final Duration RTT = Duration.ofMillis(20);

  private final VirtualTime time = new VirtualTime();
  private final RateLimit limit = new RateLimit(null, 0);
  private final BulkLane lane = new BulkLane(time.new NodeLoop(), RTT::toNanos, limit);
  private int woken;

  private List<BulkLane.Slot> reserveAll() {
    List<BulkLane.Slot> slots = new ArrayList<>();
    for (BulkLane.Slot slot = reserve(); slot != null; slot = reserve()) {
      slots.add(slot);
    }
    return slots;
  }

  private BulkLane.Slot reserve() {
    return lane.reserve(REQUEST, () -> woken++);
  }

  /** Each round trip delivers what was asked for, as long as the link can carry it. */
  private void roundTrips(int count) {
    for (int i = 0; i < count; i++) {
      List<BulkLane.Slot> slots = reserveAll();
      time.run(RTT);
      slots.forEach(slot -> slot.end(REQUEST));
    }
  }

  @Test
  void beginsWithASmallWindow() {
    assertThat(reserveAll()).hasSize((int) (BulkLane.MIN_WINDOW / REQUEST));
  }

  @Test
  void aRequestLargerThanTheWindowMovesWhenNothingElseIsOutstanding() {
    assertThat(lane.reserve(BulkLane.MIN_WINDOW * 2, () -> {})).isNotNull();
    assertThat(reserve()).isNull();
  }

  @Test
  void growsWhileEachRoundTripDeliversAll() {
    roundTrips(4);
    assertThat(lane.window()).isGreaterThan(4 * BulkLane.MIN_WINDOW);
    roundTrips(20);
    assertThat(lane.window()).isEqualTo(BulkLane.MAX_WINDOW);
  }

  @Test
  void shrinksWhileGuestsMissAndForgetsItSoon() {
    roundTrips(4);
    long before = lane.window();
    lane.miss();
    assertThat(lane.window()).isEqualTo(before / 2);
    time.run(Duration.ofMillis(250));
    assertThat(lane.window()).isEqualTo(before);
  }

  @Test
  void wakesWhoWaitsWhenASlotIsFree() {
    List<BulkLane.Slot> slots = reserveAll();
    assertThat(woken).isZero();
    slots.get(0).end(REQUEST);
    assertThat(woken).isEqualTo(1);
    slots.get(1).end(REQUEST);
    assertThat(woken).as("once per refusal").isEqualTo(1);
  }

  @Test
  void aCapMakesWaitAndThenWakes() {
    limit.set((long) REQUEST);
    assertThat(reserve()).isNotNull();
    assertThat(reserve()).isNull();
    time.run(BulkLane.MAX_CAP_WAIT);
    assertThat(reserve()).isNull();
    time.run(Duration.ofMillis(900));
    assertThat(reserve()).isNotNull();
  }

  @Test
  void aLiftedCapCountsSoonThoughTheOldOneMeantDays() {
    limit.set(1L);
    reserve().end(REQUEST);
    assertThat(reserve()).isNull();
    limit.set(null);
    time.run(BulkLane.MAX_CAP_WAIT);
    assertThat(woken).isEqualTo(1);
    assertThat(reserve()).isNotNull();
  }

  @Test
  void aSlotEndsOnce() {
    BulkLane.Slot slot = reserve();
    slot.end(0);
    assertThatThrownBy(() -> slot.end(0)).isInstanceOf(IllegalStateException.class);
  }
}
