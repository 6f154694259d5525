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

  /** Nanoseconds of each half of a trial: hundreds of requests, so that chance is small. */
  static final long TRIAL = TimeUnit.MILLISECONDS.toNanos(2);

  /** Nanoseconds that the outcome of a trial holds: what the worse half cost is 0.4 % of it. */
  static final long HOLDS = TimeUnit.MILLISECONDS.toNanos(500);

  /** Requests in half a trial (20,000 a second); with fewer there is nothing to gather. */
  static final long BUSY = 40;

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
  private double without;
  private boolean gather;

  /**
   * Asked before the loop reads what has come.
   *
   * @param now monotonic, in nanoseconds
   * @param requests that guests have made until now
   */
  boolean wanted(long now, long requests) {
    long elapsed = now - stepBegan;
    if (elapsed >= (step == Step.DECIDED ? HOLDS : TRIAL)) {
      long came = requests - requestsBefore;
      boolean idle = step != Step.DECIDED && (elapsed > 2 * TRIAL || came < BUSY);
      end((double) came / elapsed, idle);
      stepBegan = now;
      requestsBefore = requests;
    }
    return gather;
  }

  private void end(double rate, boolean idle) {
    if (idle || step == Step.DECIDED) {
      step = Step.WITHOUT;
      gather = false;
    } else if (step == Step.WITHOUT) {
      step = Step.WITH;
      without = rate;
      gather = true;
    } else {
      step = Step.DECIDED;
      gather = rate > without * WORTH_IT;
    }
  }
}
