// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.volume;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

final class InFlightTest {
  private final InFlight inFlight = new InFlight();
  private final List<String> log = new ArrayList<>();

  private void whenIdle(String what) {
    inFlight.whenIdle(() -> log.add(what));
  }

  @Test
  void isIdleAtOnceWhenNothingIsUnderWay() {
    whenIdle("idle");
    assertThat(log).containsExactly("idle");
  }

  @Test
  void isIdleOnlyWhenTheLastOfAllKindsHasEnded() {
    inFlight.begin();
    InFlight.Ticket write = new InFlight.Ticket();
    inFlight.beginWrite(write, 0, 1);
    InFlight.Ticket store = inFlight.beginStore(1, 2);
    whenIdle("idle");
    inFlight.endStore(store);
    inFlight.end();
    assertThat(log).isEmpty();
    inFlight.endWrite(write);
    assertThat(log).containsExactly("idle");
  }

  @Test
  void aWaiterThatStartsSomethingMakesTheNextOneWait() {
    inFlight.begin();
    inFlight.whenIdle(inFlight::begin);
    whenIdle("second");
    inFlight.end();
    assertThat(log).isEmpty();
    inFlight.end();
    assertThat(log).containsExactly("second");
  }

  @Test
  void aWriteOfTheSameBlocksEndsOnlyItsOwnTicket() {
    InFlight.Ticket one = new InFlight.Ticket();
    inFlight.beginWrite(one, 0, 4);
    inFlight.beginWrite(new InFlight.Ticket(), 0, 4);
    inFlight.endWrite(one);
    assertThat(inFlight.busyUntil(0)).isEqualTo(4);
  }

  @Test
  void storesAreInTheWayOnlyWhereTheyOverlap() {
    inFlight.beginStore(4, 8);
    assertThat(inFlight.storing(0, 4)).isFalse();
    assertThat(inFlight.storing(3, 5)).isTrue();
    assertThat(inFlight.storing(7, 9)).isTrue();
    assertThat(inFlight.storing(8, 9)).isFalse();
  }

  @Test
  void findsBusyAndFreeParts() {
    inFlight.beginWrite(new InFlight.Ticket(), 4, 6);
    inFlight.beginStore(10, 12);
    assertThat(inFlight.busyUntil(3)).isEqualTo(3);
    assertThat(inFlight.busyUntil(5)).isEqualTo(6);
    assertThat(inFlight.busyUntil(10)).isEqualTo(12);
    assertThat(inFlight.nextBusy(0, 20)).isEqualTo(4);
    assertThat(inFlight.nextBusy(5, 20)).isEqualTo(5);
    assertThat(inFlight.nextBusy(6, 20)).isEqualTo(10);
    assertThat(inFlight.nextBusy(12, 20)).isEqualTo(20);
  }

  @Test
  void whoWaitsForStoresLooksAgainAfterEachAndMayWaitOn() {
    InFlight.Ticket one = inFlight.beginStore(0, 1);
    InFlight.Ticket two = inFlight.beginStore(0, 1);
    waitForBlock0();
    inFlight.endStore(one);
    assertThat(log).isEmpty();
    inFlight.endStore(two);
    assertThat(log).containsExactly("written");
  }

  @Test
  void aWriteThatWaitedForAStoreGoesBeforeIdle() {
    InFlight.Ticket store = inFlight.beginStore(0, 1);
    inFlight.afterStores(() -> inFlight.beginWrite(new InFlight.Ticket(), 0, 1));
    whenIdle("idle");
    inFlight.endStore(store);
    assertThat(log).isEmpty();
  }

  private void waitForBlock0() {
    if (inFlight.storing(0, 1)) {
      inFlight.afterStores(this::waitForBlock0);
    } else {
      log.add("written");
    }
  }
}
