// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.copy;

import java.time.Duration;

/**
 * The best rate at which a link delivered lately, in bytes per second on the wire.
 *
 * <p>Answers count when they are complete, and several connections deliver at once. So a short time
 * may see the end of many answers that came mostly before it, several times what the link can
 * carry; a rate is measured over so long a time that this is a small part. Loop only.
 */
final class DeliveryRate {
  /**
   * Least time of one measurement: four connections with a request each under way make it wrong by
   * a tenth at most at 100 Mbit/s, and by less on faster links.
   */
  static final Duration INTERVAL = Duration.ofMillis(200);

  /**
   * And so many answers after one another, where each takes long: those that waited for a lost
   * packet, one or two round trips, end together.
   */
  private static final double ANSWERS = 6;

  /**
   * Least time while the rate grows, but not less than an answer takes, in which a whole window
   * comes. Half as sure is enough to see growth.
   */
  static final Duration INTERVAL_WHILE_GROWING = Duration.ofMillis(100);

  /** A best rate counts for one to two of these; older ones say nothing about the link now. */
  private static final Duration MEMORY = Duration.ofSeconds(2);

  /** A rate is still growing if a measurement is so many times the best one before. */
  private static final double GROWTH = 1.25;

  /** It has its height after so many measurements without growth. */
  private static final int FLAT = 3;

  private long lastAt;
  private boolean measuring;

  /** While the rate grows, what was asked for before that time came through a smaller window. */
  private long askedFrom;

  /** When the present measurement began, and what came since. */
  private long began;

  private long came;

  private long best;
  private long bestBefore;
  private long bestSince;
  private int flat;

  /**
   * Something is asked for while nothing is under way.
   *
   * @return whether the link is an unknown one again, after a long pause
   */
  boolean resumed(long now) {
    boolean unknown = now - lastAt > MEMORY.toNanos();
    if (unknown) {
      growAgain(now);
      best = 0;
      bestBefore = 0;
    }
    return unknown;
  }

  /**
   * An answer is complete.
   *
   * @param bytes that came over the wire for it
   * @param askedAt when it was asked for; monotonic time in nanoseconds
   * @param now the same clock
   * @param answerTime nanoseconds that an answer takes at best
   */
  void delivered(long bytes, long askedAt, long now, long answerTime) {
    lastAt = now;
    if (!measuring) {
      measuring = askedAt - askedFrom >= 0;
      begin(now);
      return;
    }
    came += bytes;
    if (now - began >= interval(answerTime)) {
      double seconds = (double) (now - began) / Duration.ofSeconds(1).toNanos();
      note((long) (came / seconds), now);
      measuring = !isGrowing();
      askedFrom = now;
      begin(now);
    }
  }

  private long interval(long answerTime) {
    return isGrowing()
        ? Math.max(INTERVAL_WHILE_GROWING.toNanos(), answerTime)
        : Math.max(INTERVAL.toNanos(), (long) (ANSWERS * answerTime));
  }

  /** The best one lately; 0 if nothing was measured. */
  long bytesPerSecond() {
    return Math.max(best, bestBefore);
  }

  /** Whether the link may well bring more than it was asked for until now. */
  boolean isGrowing() {
    return flat < FLAT;
  }

  /** What was measured lately says little of the link: so much was not asked for. */
  void growAgain(long now) {
    flat = 0;
    measuring = false;
    askedFrom = now;
  }

  private void begin(long now) {
    began = now;
    came = 0;
  }

  private void note(long rate, long now) {
    flat = rate > GROWTH * bytesPerSecond() ? 0 : flat + 1;
    if (now - bestSince > MEMORY.toNanos()) {
      bestBefore = now - bestSince > 2 * MEMORY.toNanos() ? 0 : best;
      best = 0;
      bestSince = now;
    }
    best = Math.max(best, rate);
  }
}
