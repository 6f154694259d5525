// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.exec;

import io.netty.channel.SelectStrategy;
import io.netty.util.IntSupplier;
import java.util.concurrent.TimeUnit;
import java.util.function.LongSupplier;

/**
 * Lets an event loop look for the next request for a moment before it sleeps, as QEMU's own loops
 * do: to be woken costs more than to answer from the page cache, in a virtual machine several times
 * as much. A client that asks one thing after another gets its answers twice as fast.
 *
 * <p>Where nothing comes in that moment, the next ones are left out, twice as many after each
 * failure: an idle loop sleeps nearly all the time. Where much comes, it may be better to let it
 * gather ({@link Gathering}). For one event loop.
 */
public final class BriefPolling implements SelectStrategy {

  /**
   * Nanoseconds; a client on the same host that was waiting is woken, and asks again, in less. Also
   * the longest that a task from another thread may have to wait for it.
   */
  static final long MOMENT = TimeUnit.MICROSECONDS.toNanos(50);

  /** The loop sleeps at most so many times at once without looking first. */
  static final int MOST_LEFT_OUT = 1023;

  private final LongSupplier nanoTime;
  private final RequestCount requests;
  private final Gathering gathering = new Gathering();
  private int leftOut;
  private int toLeaveOut;

  /**
   * For a loop that reads requests.
   *
   * @param nanoTime monotonic; only differences mean anything
   */
  public BriefPolling(LongSupplier nanoTime, RequestCount requests) {
    this.nanoTime = nanoTime;
    this.requests = requests;
  }

  @Override
  public int calculateStrategy(IntSupplier look, boolean hasTasks) throws Exception {
    if (hasTasks) {
      return look.get();
    }
    if (toLeaveOut > 0) {
      toLeaveOut--;
      return SELECT;
    }
    long began = nanoTime.getAsLong();
    do {
      int ready = look.get();
      if (ready > 0) {
        leftOut = 0;
        gather();
        return ready;
      }
      Thread.onSpinWait();
    } while (nanoTime.getAsLong() - began < MOMENT);
    leftOut = Math.min(2 * leftOut + 1, MOST_LEFT_OUT);
    toLeaveOut = leftOut;
    return SELECT;
  }

  /** What comes meanwhile is read together with what was found. */
  private void gather() {
    long began = nanoTime.getAsLong();
    if (gathering.wanted(began, requests.total())) {
      while (nanoTime.getAsLong() - began < Gathering.MOMENT) {
        Thread.onSpinWait();
      }
    }
  }
}
