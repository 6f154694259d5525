// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.copy;

import static org.assertj.core.api.Assertions.assertThat;

import java.time.Duration;
import org.assertj.core.data.Percentage;
import org.junit.jupiter.api.Test;

final class DeliveryRateTest {
  private static final long SECOND = Duration.ofSeconds(1).toNanos();
  private static final long MOMENT = Duration.ofMillis(1).toNanos();
  private static final int ANSWER = 64 << 10;
  private static final long LINK = 12_500_000;

  private final DeliveryRate rate = new DeliveryRate();
  private long now = 7 * SECOND;
  private long answerTime = Duration.ofMillis(25).toNanos();

  /**
   * Answers end {@code together} at a time, hardly a moment after one another, on a link that
   * brings that much on average.
   */
  private void deliver(Duration duration, long bytesPerSecond, int together) {
    deliver(duration, bytesPerSecond, together, Long.MAX_VALUE);
  }

  /** The same, of answers that were asked for at that time at the latest. */
  private void deliver(Duration duration, long bytesPerSecond, int together, long askedBefore) {
    for (long end = now + duration.toNanos(); now < end; ) {
      now += SECOND * together * ANSWER / bytesPerSecond;
      for (int i = 0; i < together; i++) {
        long at = now + i * MOMENT;
        rate.delivered(ANSWER, Math.min(at - answerTime, askedBefore), at, answerTime);
      }
    }
  }

  @Test
  void isUnknownUntilItWasMeasured() {
    assertThat(rate.bytesPerSecond()).isZero();
    deliver(DeliveryRate.INTERVAL_WHILE_GROWING.dividedBy(2), LINK, 1);
    assertThat(rate.bytesPerSecond()).isZero();
    deliver(DeliveryRate.INTERVAL_WHILE_GROWING, LINK, 1);
    assertThat(rate.bytesPerSecond()).isCloseTo(LINK, Percentage.withPercentage(3));
  }

  @Test
  void isWhatTheLinkBrings() {
    deliver(Duration.ofSeconds(1), LINK, 1);
    assertThat(rate.bytesPerSecond()).isCloseTo(LINK, Percentage.withPercentage(3));
  }

  @Test
  void answersThatWereHeldUpAndEndTogetherAreNotAFasterLink() {
    deliver(Duration.ofSeconds(10), LINK, 48);
    assertThat(rate.bytesPerSecond()).isCloseTo(LINK, Percentage.withPercentage(12));
  }

  @Test
  void norAreThoseThatWaitedForALostPacketOnALongWay() {
    answerTime = Duration.ofMillis(100).toNanos();
    deliver(Duration.ofSeconds(10), LINK, 42);
    assertThat(rate.bytesPerSecond()).isCloseTo(LINK, Percentage.withPercentage(12));
  }

  @Test
  void answersThatTakeLongAreMeasuredForLonger() {
    answerTime = SECOND;
    deliver(Duration.ofSeconds(1), LINK, 1);
    assertThat(rate.bytesPerSecond()).isZero();
    deliver(Duration.ofSeconds(1), LINK, 1);
    assertThat(rate.bytesPerSecond()).isCloseTo(LINK, Percentage.withPercentage(3));
  }

  @Test
  void afterALongPauseTheLinkIsUnknownAgain() {
    deliver(Duration.ofSeconds(2), LINK, 1);
    assertThat(rate.isGrowing()).isFalse();
    now += 3 * SECOND;
    rate.resumed(now);
    deliver(Duration.ofMillis(1), LINK, 1);
    assertThat(rate.bytesPerSecond()).isZero();
    assertThat(rate.isGrowing()).isTrue();
  }

  @Test
  void aShortPauseIsForgottenAtTheNextMeasurement() {
    deliver(Duration.ofSeconds(2), LINK, 1);
    for (int i = 0; i < 10; i++) {
      now += SECOND;
      rate.resumed(now);
      deliver(DeliveryRate.INTERVAL.multipliedBy(2), LINK, 1);
    }
    assertThat(rate.bytesPerSecond()).isCloseTo(LINK, Percentage.withPercentage(3));
  }

  @Test
  void aStalledLinkIsASlowOne() {
    deliver(Duration.ofSeconds(1), LINK, 1);
    for (int i = 0; i < 20; i++) {
      now += Duration.ofMillis(300).toNanos();
      deliver(Duration.ofMillis(100), LINK, 1);
    }
    assertThat(rate.bytesPerSecond()).isLessThan(LINK / 2);
  }

  @Test
  void theBestOfTheLastSecondsCounts() {
    deliver(Duration.ofSeconds(2), LINK, 1);
    deliver(Duration.ofSeconds(1), LINK / 2, 1);
    assertThat(rate.bytesPerSecond()).isCloseTo(LINK, Percentage.withPercentage(3));
    deliver(Duration.ofSeconds(4), LINK / 2, 1);
    assertThat(rate.bytesPerSecond()).isCloseTo(LINK / 2, Percentage.withPercentage(3));
  }

  @Test
  void growsUntilItHasItsHeight() {
    assertThat(rate.isGrowing()).isTrue();
    for (long height = LINK / 8; height <= LINK; height *= 2) {
      deliver(DeliveryRate.INTERVAL.multipliedBy(2), height, 1);
      assertThat(rate.isGrowing()).isTrue();
    }
    deliver(Duration.ofSeconds(1), LINK, 1);
    assertThat(rate.isGrowing()).isFalse();
    deliver(DeliveryRate.INTERVAL.multipliedBy(2), 2 * LINK, 1);
    assertThat(rate.isGrowing()).as("the link became faster").isTrue();
  }

  @Test
  void whileItGrowsAnswersToTheSmallerWindowBeforeAreNotMeasured() {
    while (rate.bytesPerSecond() == 0) {
      deliver(Duration.ofMillis(1), LINK / 4, 1);
    }
    deliver(Duration.ofMillis(60), LINK / 4, 1, now - 1);
    deliver(Duration.ofMillis(120), LINK, 1);
    assertThat(rate.bytesPerSecond()).isCloseTo(LINK, Percentage.withPercentage(3));
  }

  @Test
  void growingAgainIsMeasuredFromItsBegin() {
    deliver(Duration.ofSeconds(2), LINK, 1);
    deliver(DeliveryRate.INTERVAL.multipliedBy(3).dividedBy(4), LINK, 1);
    rate.growAgain(now);
    assertThat(rate.isGrowing()).isTrue();
    deliver(Duration.ofMillis(60), LINK, 1, now - 1);
    deliver(Duration.ofMillis(120), 2 * LINK, 1);
    assertThat(rate.bytesPerSecond()).isCloseTo(2 * LINK, Percentage.withPercentage(3));
  }
}
