// SPDX-License-Identifier: Apache-2.0
package io.vmferry.coordinator.migration;

import java.time.Duration;
import java.util.List;

/**
 * Pauses between attempts; the last one repeats for ever. One per loop, used on the coordinator's
 * thread. Also says which failures of the loop are worth a log line.
 */
final class Backoff {
  /** The same reason is logged again after this time. */
  private static final Duration REPEAT_LOG = Duration.ofMinutes(5);

  private final Scheduler scheduler;
  private final List<Duration> pauses;
  private int next;
  private String lastReason;
  private long lastLog;

  Backoff(Scheduler scheduler, List<Duration> pauses) {
    this.scheduler = scheduler;
    this.pauses = pauses;
  }

  Duration next() {
    return pauses.get(Math.min(next++, pauses.size() - 1));
  }

  /** True for a reason that is new, or that was last said long ago. */
  boolean worthSaying(String reason) {
    long now = scheduler.nanoTime();
    if (reason.equals(lastReason) && now - lastLog < REPEAT_LOG.toNanos()) {
      return false;
    }
    lastReason = reason;
    lastLog = now;
    return true;
  }
}
