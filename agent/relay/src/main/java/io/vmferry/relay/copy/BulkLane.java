// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.copy;

import io.vmferry.relay.exec.Loop;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.Queue;
import java.util.function.LongSupplier;

/**
 * What all background copies from one peer share: the window of bytes asked for and not yet here.
 *
 * <p>The window follows the link: twice the product of the best delivery rate seen lately and the
 * round trip. As long as the window is the bottleneck, each round trip delivers a whole window, so
 * the next is twice as large; once the link is full the rate stops rising, and so does the window.
 * While guests miss, it shrinks to one product, which leaves no queue for a miss to stand in. Loop
 * only.
 */
public final class BulkLane {
  /** Enough to begin with, and to keep a LAN busy; 40 ms of a 100 Mbit/s link. */
  static final long MIN_WINDOW = 512 << 10;

  /** Bound of memory: what may arrive and wait to be stored. 640 ms of a 400 Mbit/s link. */
  static final long MAX_WINDOW = 32 << 20;

  /** A rate older than this says nothing about the link now. */
  private static final Duration RATE_MEMORY = Duration.ofSeconds(3);

  /** After a miss the guest likely misses again; this long the queue is kept short. */
  private static final Duration MISS_MEMORY = Duration.ofMillis(200);

  /**
   * Longest wait for the cap before it is looked at again: a cap that was raised or lifted counts
   * from then on, even if the old one would have meant hours.
   */
  static final Duration MAX_CAP_WAIT = Duration.ofMillis(200);

  private final Loop loop;
  private final LongSupplier rttNanos;
  private final RateLimit limit;
  private final Queue<Runnable> waiting = new ArrayDeque<>();

  private long outstanding;
  private long delivered;
  private long bestRate;
  private long bestRateAt;
  private long lastMissAt;
  private boolean missed;
  private boolean waking;
  private boolean full;

  /** The place of one request in the window. */
  public final class Slot {
    private final long bytes;
    private final long sentAt = loop.nanoTime();
    private final long deliveredBefore = delivered;
    private boolean ended;

    private Slot(long bytes) {
      this.bytes = bytes;
      outstanding += bytes;
    }

    /**
     * The request ended.
     *
     * @param received bytes that came over the wire for it
     */
    public void end(long received) {
      if (ended) {
        throw new IllegalStateException("slot ended twice");
      }
      ended = true;
      outstanding -= bytes;
      delivered += received;
      sample(delivered - deliveredBefore, loop.nanoTime() - sentAt);
      wake();
    }
  }

  public BulkLane(Loop loop, LongSupplier rttNanos, RateLimit limit) {
    this.loop = loop;
    this.rttNanos = rttNanos;
    this.limit = limit;
  }

  /**
   * A place for a request, or null if there is none now; {@code retry} then runs once, when there
   * may be one again.
   */
  public Slot reserve(long bytes, Runnable retry) {
    if (outstanding > 0 && outstanding + bytes > window()) {
      full = true;
      waiting.add(retry);
      return null;
    }
    Duration wait = limit.take(bytes, loop.nanoTime());
    if (!wait.isZero()) {
      full = true;
      waiting.add(retry);
      loop.after(wait.compareTo(MAX_CAP_WAIT) < 0 ? wait : MAX_CAP_WAIT, this::wake);
      return null;
    }
    return new Slot(bytes);
  }

  /** A guest waits for a block. */
  public void miss() {
    missed = true;
    lastMissAt = loop.nanoTime();
  }

  /** Bytes that may be outstanding now. */
  long window() {
    long rtt = rttNanos.getAsLong();
    if (rtt == 0 || bestRate == 0) {
      return MIN_WINDOW;
    }
    double product = (double) bestRate * rtt / Duration.ofSeconds(1).toNanos();
    boolean missing = missed && loop.nanoTime() - lastMissAt < MISS_MEMORY.toNanos();
    return Math.max(MIN_WINDOW, Math.min(MAX_WINDOW, (long) (product * (missing ? 1 : 2))));
  }

  private void sample(long bytes, long nanos) {
    long now = loop.nanoTime();
    long rate = (long) ((double) bytes * Duration.ofSeconds(1).toNanos() / Math.max(nanos, 1));
    if (rate >= bestRate || now - bestRateAt > RATE_MEMORY.toNanos()) {
      bestRate = rate;
      bestRateAt = now;
    }
  }

  /** There may be room: a slot was freed, time has passed, or the cap was changed. */
  private void wake() {
    if (waking) {
      return;
    }
    waking = true;
    full = false;
    // Who got its turn and finds the lane full queues behind the others, so all come in turn.
    while (!full && !waiting.isEmpty()) {
      waiting.remove().run();
    }
    waking = false;
  }
}
