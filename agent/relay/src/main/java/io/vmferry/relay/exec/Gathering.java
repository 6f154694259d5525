// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.exec;

import java.util.concurrent.TimeUnit;

/**
 * Whether a busy event loop lets requests gather for a moment before it reads them. What a wake-up,
 * a read of the socket and the sending of answers cost is the same for one request as for ten, at
 * both ends. A guest with many requests under way goes on sending meanwhile, because it still has
 * answers to take; one that waits for each answer only waits longer. Which of the two it is can't
 * be seen from here, so it is tried now and then, and the outcome holds until the next trial.
 *
 * <p>A trial is several pairs of a short time without and one with gathering, and gathering must
 * win nearly all of them. One pair is not enough: where the processors are few, something else
 * takes one of them now and then, and code becomes faster while it is being compiled. For the
 * latter every second pair begins with gathering: what only comes later doesn't win.
 *
 * <p>For one event loop.
 */
final class Gathering {

  /** Nanoseconds; a guest sends two or three requests in it, at most one tenth of them wait. */
  static final long MOMENT = TimeUnit.MICROSECONDS.toNanos(10);

  /** Of a trial; odd, so that neither order has as many as the other. */
  static final int PAIRS = 5;

  /** That gathering must win: one more than begin without it. */
  static final int ENOUGH = PAIRS / 2 + 2;

  /** Requests in each half of a pair: several times the depth of a guest's queue. */
  static final long HALF = 250;

  /** Nanoseconds; if a half takes longer (10,000 requests a second) nothing gathers. */
  static final long LONGEST_HALF = TimeUnit.MILLISECONDS.toNanos(25);

  /** Times the length of a trial that its outcome holds: the worse halves cost little. */
  static final long HOLDS = 50;

  /** Times the rate without gathering that wins a pair: less may be chance. */
  static final double WORTH_IT = 1.05;

  /** Of the trial; 2 * PAIRS when it is over. */
  private int halves;

  private long trialBegan;
  private long halfBegan;
  private long requestsBefore;

  /** Nanoseconds that the trial took; a guest's pause in it counts little. */
  private long took;

  /** Nanoseconds for each request of the first half of this pair. */
  private double eachOfFirst;

  private int won;
  private boolean gather;

  /**
   * Asked before the loop reads what has come.
   *
   * @param now monotonic, in nanoseconds
   * @param requests that guests have made until now
   */
  boolean wanted(long now, long requests) {
    if (halves == 2 * PAIRS) {
      if (now - trialBegan > (1 + HOLDS) * took) {
        beginTrial(now, requests);
      }
      return gather;
    }
    long elapsed = now - halfBegan;
    long came = requests - requestsBefore;
    if (came >= HALF) {
      endHalf((double) elapsed / came, now, requests);
    } else if (elapsed > LONGEST_HALF) {
      if (gather) {
        decide(false, now);
      } else {
        beginTrial(now, requests);
      }
    }
    return gather;
  }

  private void beginTrial(long now, long requests) {
    trialBegan = now;
    halves = 0;
    won = 0;
    beginHalf(now, requests);
  }

  private void beginHalf(long now, long requests) {
    halfBegan = now;
    requestsBefore = requests;
    boolean second = halves % 2 == 1;
    boolean otherWayRound = halves / 2 % 2 == 1;
    gather = second != otherWayRound;
  }

  private void endHalf(double each, long now, long requests) {
    if (halves % 2 == 0) {
      eachOfFirst = each;
    } else {
      double without = gather ? eachOfFirst : each;
      double with = gather ? each : eachOfFirst;
      won += WORTH_IT * with < without ? 1 : 0;
    }
    halves++;
    if (halves == 2 * PAIRS) {
      decide(won >= ENOUGH, now);
    } else {
      beginHalf(now, requests);
    }
  }

  private void decide(boolean worthIt, long now) {
    halves = 2 * PAIRS;
    took = Math.min(now - trialBegan, 2 * PAIRS * LONGEST_HALF);
    gather = worthIt;
  }
}
