// SPDX-License-Identifier: Apache-2.0
package io.vmferry.nbd;

import io.netty.util.concurrent.EventExecutor;
import io.netty.util.concurrent.ScheduledFuture;
import java.time.Duration;
import java.util.concurrent.TimeUnit;

/** A deadline that can be stopped and started again: counts only the client's own time. */
final class HandshakeTimer {
  private final EventExecutor executor;
  private final Runnable whenOver;
  private long remainingNanos;
  private long startedAtNanos;
  private ScheduledFuture<?> running;

  /** The timer starts paused. All calls and {@code whenOver} are on {@code executor}'s thread. */
  HandshakeTimer(EventExecutor executor, Duration limit, Runnable whenOver) {
    this.executor = executor;
    this.whenOver = whenOver;
    remainingNanos = limit.toNanos();
  }

  void resume() {
    if (running == null) {
      startedAtNanos = executor.ticker().nanoTime();
      running = executor.schedule(whenOver, remainingNanos, TimeUnit.NANOSECONDS);
    }
  }

  void pause() {
    if (running != null) {
      running.cancel(false);
      running = null;
      remainingNanos -= executor.ticker().nanoTime() - startedAtNanos;
    }
  }
}
