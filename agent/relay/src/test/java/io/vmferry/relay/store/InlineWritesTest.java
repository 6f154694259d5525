// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.store;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;

final class InlineWritesTest {

  private final InlineWrites inline = new InlineWrites();
  private long now = -5; // System.nanoTime may be negative

  private boolean allowed() {
    return inline.allowed(0, 4096, now);
  }

  private void write(long nanos) {
    long began = now;
    now += nanos;
    inline.madeHere(began, now);
  }

  /** Nanoseconds, to the millisecond, until writes are allowed again. */
  private long pause() {
    long began = now;
    while (!allowed()) {
      now += 1_000_000;
    }
    return now - began;
  }

  @Test
  void quickWritesStay() {
    for (int i = 0; i < 1000; i++) {
      assertThat(allowed()).isTrue();
      write(InlineWrites.SLOW - 1);
    }
  }

  @Test
  void onlyWholePagesStay() {
    assertThat(inline.allowed(4096, 8192, now)).isTrue();
    assertThat(inline.allowed(4096, 8191, now)).isFalse();
    assertThat(inline.allowed(512, 4096, now)).isFalse();
  }

  @Test
  void aSlowWriteIsFollowedByAPause() {
    write(InlineWrites.SLOW);

    assertThat(allowed()).isFalse();
    assertThat(pause()).isEqualTo(InlineWrites.FIRST_PAUSE);
  }

  @Test
  void thePauseDoublesUpToALimitWhileItHappensAgain() {
    long expected = InlineWrites.FIRST_PAUSE;
    for (int i = 0; i < 15; i++) {
      write(InlineWrites.SLOW);
      assertThat(pause()).isEqualTo(expected);
      expected = Math.min(2 * expected, InlineWrites.LONGEST_PAUSE);
    }
    assertThat(expected).isEqualTo(InlineWrites.LONGEST_PAUSE);
  }

  @Test
  void aLongQuickTimeIsRewardedWithAShortPause() {
    write(InlineWrites.SLOW);
    pause();
    write(InlineWrites.SLOW);
    long second = pause();
    now += 8 * second;
    write(InlineWrites.SLOW);

    assertThat(pause()).isEqualTo(InlineWrites.FIRST_PAUSE);
  }

  @Test
  void slowWritesElsewhereProlongThePause() {
    write(InlineWrites.SLOW);
    for (int i = 0; i < 10; i++) {
      now += InlineWrites.FIRST_PAUSE - 1;
      inline.madeElsewhere(InlineWrites.SLOW, now);
      assertThat(allowed()).isFalse();
    }
    inline.madeElsewhere(InlineWrites.SLOW - 1, now);

    assertThat(pause()).isEqualTo(InlineWrites.FIRST_PAUSE);
  }
}
