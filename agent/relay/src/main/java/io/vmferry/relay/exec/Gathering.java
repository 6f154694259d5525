// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.exec;

import java.util.concurrent.TimeUnit;

/**
 * Whether a busy event loop lets requests gather for a moment before it reads them. What a wake-up,
 * a read of the socket and the sending of answers cost is the same for one request as for ten, at
 * both ends. A guest with many requests under way goes on sending meanwhile, because it still has
 * answers to take; one that waits for each answer only waits longer. Which of the two it is can't
 * be seen from here, so it is tried: now and then a short time without and one with gathering, and
 * what brought more requests holds until the next trial.
 *
 * <p>For one event loop.
 */
final class Gathering {

  /** Nanoseconds; a guest sends two or three requests in it, at most one tenth of them wait. */
  static final long MOMENT = TimeUnit.MICROSECONDS.toNanos(10);

  /** Requests in each half of a trial; of fewer, chance would decide. */
  static final long TRIAL = 800;

  /** Nanoseconds; if half a trial takes longer (10,000 requests a second) nothing gathers. */
  static final long LONGEST_TRIAL = TimeUnit.MILLISECONDS.toNanos(80);

  /** Times the length of half a trial that its outcome holds: the worse half costs little. */
  static final long HOLDS = 100;

  /** Times the requests without gathering that it must bring: less may be chance. */
  static final double WORTH_IT = 1.05;

  private enum Step {
    WITHOUT,
    WITH,
    DECIDED
  }

  private Step step = Step.WITHOUT;
  private long stepBegan;
  private long requestsBefore;

  /** Nanoseconds that the last half without gathering took, and each request of it. */
  private long took;

  private double eachWithout;
  private boolean gather;

  /**
   * Asked before the loop reads what has come.
   *
   * @param now monotonic, in nanoseconds
   * @param requests that guests have made until now
   */
  boolean wanted(long now, long requests) {
    long elapsed = now - stepBegan;
    long came = requests - requestsBefore;
    boolean enough = came >= TRIAL;
    switch (step) {
      case WITHOUT -> {
        if (enough) {
          took = elapsed;
          eachWithout = (double) elapsed / came;
          begin(Step.WITH, true, now, requests);
        } else if (elapsed > LONGEST_TRIAL) {
          begin(Step.WITHOUT, false, now, requests);
        }
      }
      case WITH -> {
        if (enough || elapsed > LONGEST_TRIAL) {
          boolean worthIt = enough && WORTH_IT * elapsed / came < eachWithout;
          begin(Step.DECIDED, worthIt, now, requests);
        }
      }
      case DECIDED -> {
        if (elapsed > HOLDS * took) {
          begin(Step.WITHOUT, false, now, requests);
        }
      }
    }
    return gather;
  }

  private void begin(Step next, boolean gathers, long now, long requests) {
    step = next;
    gather = gathers;
    stepBegan = now;
    requestsBefore = requests;
  }
}
