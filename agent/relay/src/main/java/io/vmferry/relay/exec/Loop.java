// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.exec;

import java.time.Duration;
import java.util.concurrent.Executor;

/** The thread that decides, with its clock. The simulator has one in virtual time. */
public interface Loop extends Executor {

  /** Whether the caller runs on the loop. */
  boolean inLoop();

  /** Monotonic time in nanoseconds; only differences mean anything. */
  long nanoTime();

  /** Runs {@code task} once on the loop after {@code delay}. */
  Timer after(Duration delay, Runnable task);

  /** A task that was scheduled. */
  interface Timer {
    /** Prevents the task from running if it hasn't yet. */
    void cancel();
  }
}
