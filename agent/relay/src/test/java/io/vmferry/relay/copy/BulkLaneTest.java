// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.copy;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.vmferry.relay.peer.RoundTrip;
import io.vmferry.relay.sim.VirtualTime;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

final class BulkLaneTest {
  private static final int REQUEST = 256 << 10;
  private static final Duration RTT = Duration.ofMillis(20);

  private long rtt = RTT.toNanos();

  private final VirtualTime time = new VirtualTime();
  private final RateLimit limit = new RateLimit(null, 0);
  private final BulkLane lane =
      new BulkLane(time.new NodeLoop(), () -> new RoundTrip(rtt, rtt), limit);
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
      slots.forEach(slot -> slot.end(REQUEST, REQUEST));
    }
  }

  @Test
  void beginsWithASmallWindow() {
    assertThat(reserveAll()).hasSize((int) (BulkLane.FIRST_WINDOW / REQUEST));
  }

  @Test
  void aRequestLargerThanTheWindowMovesWhenNothingElseIsOutstanding() {
    assertThat(lane.reserve(BulkLane.FIRST_WINDOW * 2, () -> {})).isNotNull();
    assertThat(reserve()).isNull();
  }

  @Test
  void growsWhileEachRoundTripDeliversAll() {
    roundTrips(50);
    assertThat(lane.window()).isGreaterThan(4 * BulkLane.FIRST_WINDOW);
    roundTrips(100);
    assertThat(lane.window()).isEqualTo(BulkLane.MAX_WINDOW);
  }

  @Test
  void shrinksWhileGuestsMissAndForgetsItSoon() {
    copyOverALink(50_000_000, Duration.ofMillis(4500));
    long before = lane.window();
    lane.miss();
    assertThat(lane.window()).isEqualTo(before * 2 / 3);
    time.run(Duration.ofMillis(900));
    assertThat(lane.window())
        .as("a guest that reads a few blocks it has")
        .isEqualTo(before * 2 / 3);
    time.run(Duration.ofMillis(200));
    assertThat(lane.window()).isEqualTo(before);
  }

  @Test
  void beginsAnewAfterALongPauseButNotAfterAStall() {
    copyOverALink(50_000_000, Duration.ofMillis(4500));
    time.run(Duration.ofSeconds(3));
    BulkLane.Slot first = reserve();
    assertThat(lane.window()).isEqualTo(BulkLane.FIRST_WINDOW);
    first.end(REQUEST, REQUEST);

    copyOverALink(50_000_000, Duration.ofMillis(4500));
    time.run(Duration.ofSeconds(1));
    reserve();
    time.run(Duration.ofSeconds(3));
    reserve();
    assertThat(lane.window()).isGreaterThan(BulkLane.FIRST_WINDOW);
  }

  @Test
  void growsThoughGuestsMissFromTheStart() {
    lane.miss();
    for (int i = 0; i < 150; i++) {
      roundTrips(1);
      lane.miss();
    }
    assertThat(lane.window()).isEqualTo(BulkLane.MAX_WINDOW);
  }

  @Test
  void wakesWhoWaitsWhenASlotIsFree() {
    List<BulkLane.Slot> slots = reserveAll();
    assertThat(woken).isZero();
    slots.get(0).end(REQUEST, REQUEST);
    assertThat(woken).isEqualTo(1);
    slots.get(1).end(REQUEST, REQUEST);
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
    reserve().end(REQUEST, REQUEST);
    assertThat(reserve()).isNull();
    limit.set(null);
    time.run(BulkLane.MAX_CAP_WAIT);
    assertThat(woken).isEqualTo(1);
    assertThat(reserve()).isNotNull();
  }

  @Test
  void aSlotEndsOnce() {
    BulkLane.Slot slot = reserve();
    slot.end(0, 0);
    assertThatThrownBy(() -> slot.end(0, 0)).isInstanceOf(IllegalStateException.class);
  }

  /** A link of that rate with a queue: each request arrives when those before it have. */
  private void copyOverALink(long bytesPerSecond, Duration duration) {
    copyOverALink(bytesPerSecond, duration, Duration.ZERO, () -> {});
  }

  /**
   * The same.
   *
   * @param delay of the machines at both ends, which no ping sees
   */
  private void copyOverALink(
      long bytesPerSecond, Duration duration, Duration delay, Runnable eachMillisecond) {
    long end = time.nanoTime() + duration.toNanos();
    long freeAt = time.nanoTime();
    while (time.nanoTime() < end) {
      int request = lane.requestBytes();
      for (BulkLane.Slot slot = lane.reserve(request, () -> {});
          slot != null;
          slot = lane.reserve(request, () -> {})) {
        BulkLane.Slot sent = slot;
        freeAt = Math.max(freeAt, time.nanoTime());
        freeAt += Duration.ofSeconds(1).toNanos() * request / bytesPerSecond;
        long arrives = freeAt + RTT.toNanos() + delay.toNanos();
        time.at(arrives - time.nanoTime(), () -> sent.end(request, request));
      }
      // What a ping would see: the way, and the queue before it.
      rtt = RTT.toNanos() + Math.max(0, freeAt - time.nanoTime());
      eachMillisecond.run();
      time.run(Duration.ofMillis(1));
    }
  }

  @Test
  void itsOwnQueueDoesNotMakeItLonger() {
    long rate = 50_000_000;
    copyOverALink(rate, Duration.ofSeconds(60));
    long product = rate * RTT.toMillis() / 1000;
    assertThat(lane.window()).isBetween(product * 5 / 4, product * 7 / 4);
    assertThat(rtt).as("queue").isLessThan(2 * RTT.toNanos());
  }

  @Test
  void followsALinkThatBecomesSlowerAndFasterAgain() {
    copyOverALink(50_000_000, Duration.ofSeconds(5));
    copyOverALink(20_000_000, Duration.ofSeconds(8));
    assertThat(lane.window()).isLessThan(25_000_000 * RTT.toMillis() / 1000 * 3 / 2);
    copyOverALink(50_000_000, Duration.ofSeconds(8));
    assertThat(lane.window()).isGreaterThan(40_000_000 * RTT.toMillis() / 1000 * 3 / 2);
  }

  @Test
  void doesNotPauseAQueueThatItDoesNotHaveYet() {
    long rate = 50_000_000;
    Duration before = Duration.ofSeconds(5);
    copyOverALink(rate, before);
    time.run(RttFloor.MEMORY.minus(before).plusMillis(900));
    // A ping is never again quite as quick as the quickest one.
    copyOverALink(rate, Duration.ofSeconds(1), Duration.ZERO, () -> rtt += 1_000_000);
    assertThat(lane.window()).isGreaterThan(rate * RTT.toMillis() / 1000);
  }

  /** Every answer of a lossy link takes twice as long, and no ping sees why. */
  @Test
  void fillsALinkWhoseAnswersWaitForLostPackets() {
    long rate = 50_000_000;
    long product = rate * RTT.toMillis() / 1000;
    copyOverALink(rate, Duration.ofSeconds(1));
    copyOverALink(rate, Duration.ofSeconds(20), RTT, () -> {});
    assertThat(lane.window()).isGreaterThan(2 * product);
    time.run(Duration.ofSeconds(5));
    copyOverALink(rate, Duration.ofSeconds(2));
    assertThat(lane.window()).as("after a pause").isLessThan(2 * product);
  }

  @Test
  void aCapThatIsLiftedLeavesNoLongWindow() {
    long rate = 50_000_000;
    limit.set(rate / 4);
    copyOverALink(rate, Duration.ofSeconds(20));
    limit.set(null);
    long product = rate * RTT.toMillis() / 1000;
    copyOverALink(
        rate,
        Duration.ofSeconds(5),
        Duration.ZERO,
        () -> assertThat(lane.window()).isLessThan(product * 9 / 4));
    assertThat(lane.window()).isGreaterThan(product);
  }

  @Test
  void requestsAreSmallOnASlowLink() {
    assertThat(lane.requestBytes()).isEqualTo(64 << 10);
    roundTrips(150);
    assertThat(lane.requestBytes()).isEqualTo(256 << 10);
    assertThat(lane.readAheadBytes()).isEqualTo(1 << 20);
  }

  @Test
  void requestsAreSmallerWhileAMissMayHaveToStandBehindOne() {
    copyOverALink(12_500_000, Duration.ofSeconds(2));
    assertThat(lane.requestBytes()).isEqualTo(64 << 10);
    lane.miss();
    assertThat(lane.requestBytes()).isEqualTo(32 << 10);
  }

  @Test
  void compressesOnlyForALinkThatIsSlowerThanThat() {
    copyOverALink(50_000_000, Duration.ofSeconds(2));
    assertThat(lane.wantsCompression()).isTrue();
    copyOverALink(200_000_000, Duration.ofSeconds(2));
    assertThat(lane.wantsCompression()).isFalse();
    copyOverALink(50_000_000, Duration.ofSeconds(6));
    assertThat(lane.wantsCompression()).isTrue();
  }

  @Test
  void doesNotStarveWhileGuestsMissAllTheTime() {
    long rate = 12_500_000;
    copyOverALink(rate, Duration.ofSeconds(5));
    Duration delay = Duration.ofMillis(15);
    copyOverALink(rate, Duration.ofSeconds(60), delay, lane::miss);
    assertThat(lane.window())
        .as("what the link brings in a round trip")
        .isGreaterThan(rate * RTT.toMillis() / 1000 * 9 / 10);
  }

  @Test
  void growsAgainWhereAnswersTakeLongWhileGuestsMissAllTheTime() {
    Duration delay = Duration.ofMillis(80);
    copyOverALink(3_000_000, Duration.ofSeconds(8), delay, lane::miss);
    long rate = 12_500_000;
    copyOverALink(rate, Duration.ofSeconds(20), delay, lane::miss);
    assertThat(lane.window())
        .as("what the link brings in the time of an answer")
        .isGreaterThan(rate * RTT.plus(delay).toMillis() / 1000 * 9 / 10);
  }

  @Test
  void yieldsMostOfTheTimeWhileGuestsMissAllTheTime() {
    long rate = 12_500_000;
    copyOverALink(rate, Duration.ofSeconds(5));
    List<Long> windows = new ArrayList<>();
    copyOverALink(
        rate,
        Duration.ofSeconds(20),
        Duration.ZERO,
        () -> {
          lane.miss();
          windows.add(lane.window());
        });
    long product = rate * RTT.toMillis() / 1000;
    assertThat(windows.stream().filter(window -> window < product * 5 / 4).count())
        .isGreaterThan(windows.size() * 3 / 4);
  }

  @Test
  void asksForMoreWhereZeroesTakeNoRoom() {
    for (int i = 0; i < 100; i++) {
      BulkLane.Slot slot = reserve();
      time.run(RTT);
      slot.end(REQUEST, REQUEST / 4);
    }
    int room = (int) (lane.window() / (REQUEST / 4));
    assertThat(reserveAll().size()).isBetween(room - 1, room);
  }

  @Test
  void whatDidNotTravelDoesNotCountAgainstTheCap() {
    limit.set(10L * REQUEST);
    time.run(Duration.ofSeconds(1));
    int answered = 0;
    for (BulkLane.Slot slot = reserve(); slot != null && answered < 100; slot = reserve()) {
      slot.end(REQUEST, 0);
      answered++;
    }
    assertThat(answered).isEqualTo(100);
  }
}
