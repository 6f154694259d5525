// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.copy;

import io.vmferry.relay.exec.Loop;
import io.vmferry.relay.peer.RoundTrip;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.Queue;
import java.util.function.Supplier;

/**
 * What all background copies from one peer share: the window of bytes on the wire that were asked
 * for and are not yet here.
 *
 * <p>The window follows the link: the product of the best delivery rate seen lately and the round
 * trip, and a {@link Reserve}. As long as the window is the bottleneck, each round trip delivers a
 * whole window, so the next is larger; once the link is full the rate stops rising, and so does the
 * window. While guests miss, what would stand in a queue is left out, so that a miss doesn't stand
 * behind it.
 *
 * <p>What was asked for and what travels differ: zeroes have no payload, other data may be
 * compressed. The share that travelled lately is what the next requests are expected to bring. Loop
 * only.
 */
public final class BulkLane {
  /** Enough to begin with, and to keep a LAN busy; 40 ms of a 100 Mbit/s link. */
  static final long FIRST_WINDOW = 512 << 10;

  /** Four small requests; 20 ms of a 100 Mbit/s link, from which a slow one recovers. */
  static final long MIN_WINDOW = 256 << 10;

  /** The same while guests miss. */
  static final long MIN_WINDOW_WHILE_MISSING = 64 << 10;

  /** Bound of memory: what may arrive and wait to be stored. 640 ms of a 400 Mbit/s link. */
  static final long MAX_WINDOW = 32 << 20;

  /**
   * Products in the window at least while the rate grows, whether guests miss or not: a link must
   * be known to be yielded. Less than two, for a router's queue holds one at best, and what is
   * dropped there travels twice.
   */
  private static final double GROWING = 1.75;

  /**
   * While guests miss for long, so much time after the rate had its height it may grow again: what
   * was measured through a small window is never more than that window allows, and each next window
   * would be smaller. On a full link that is over after three measurements.
   */
  private static final Duration GROW_AGAIN = Duration.ofSeconds(3);

  /** A copy that has fewer products outstanding is slowed by something else: a cap, a disk. */
  private static final double AT_HEIGHT = 1.1;

  /** While the round trip is measured without a queue. A growing copy has none yet. */
  private static final double DRAINED = 0.75;

  /** A window is made of so many requests at least, so that the link is never without one. */
  private static final int REQUESTS = 8;

  private static final int MIN_REQUEST = 64 << 10;

  /** While guests miss; 1.3 ms of a 100 Mbit/s link. */
  private static final int MIN_REQUEST_WHILE_MISSING = 16 << 10;

  private static final int MAX_REQUEST = 256 << 10;

  /** What a guest reads ahead takes its turn before other misses: no more than a round trip. */
  private static final long MIN_READ_AHEAD = 128 << 10;

  private static final long MAX_READ_AHEAD = 1 << 20;

  /** Share of a new answer in what is expected of the next one: the reciprocal. */
  private static final double SMOOTHING = 8;

  /** Least part of a request that is expected to travel: after zeroes data may follow. */
  private static final double MIN_SHARE = 1.0 / 16;

  /**
   * After a miss the guest likely misses again, perhaps after some reads of what is here; this long
   * the queue is kept short. The link is nearly full meanwhile, so it may be long.
   */
  private static final Duration MISS_MEMORY = Duration.ofSeconds(1);

  /**
   * Longest wait for the cap before it is looked at again: a cap that was raised or lifted counts
   * from then on, even if the old one would have meant hours.
   */
  static final Duration MAX_CAP_WAIT = Duration.ofMillis(200);

  /** Bytes per second above which one thread's compression would rather slow the link down. */
  private static final long FAST_LINK = 100_000_000;

  private final Loop loop;
  private final Supplier<RoundTrip> roundTrip;
  private final RateLimit limit;
  private final Queue<Runnable> waiting = new ArrayDeque<>();

  private final DeliveryRate rate = new DeliveryRate();
  private final Reserve reserve = new Reserve();

  private long outstanding;
  private final RttFloor rttFloor = new RttFloor();

  /** As the round trip, from a request to its whole answer: with the time that both ends take. */
  private final RttFloor answerFloor = new RttFloor();

  private long answerTime;

  /** Bytes on the wire per byte asked for, lately. */
  private double share = 1;

  private long lastMissAt;
  private boolean missed;
  private long growAgainAt;
  private boolean waking;
  private boolean full;

  /** The place of one request in the window. */
  public final class Slot {
    private final long bytes;
    private final long expected;
    private final long sentAt = loop.nanoTime();
    private boolean ended;

    private Slot(long bytes, long expected) {
      this.bytes = bytes;
      this.expected = expected;
      if (outstanding == 0 && rate.resumed(sentAt)) {
        reserve.forget();
      }
      outstanding += expected;
    }

    /**
     * The request ended.
     *
     * @param answered bytes of the volume that were answered, zeroes included
     * @param received bytes that came over the wire for it
     */
    public void end(long answered, long received) {
      if (ended) {
        throw new IllegalStateException("slot ended twice");
      }
      ended = true;
      outstanding -= expected;
      limit.giveBack(expected - received);
      if (answered > 0) {
        double weight = (double) answered / bytes / SMOOTHING;
        share += ((double) received / answered - share) * weight;
        share = Math.max(MIN_SHARE, Math.min(1, share));
      }
      long now = loop.nanoTime();
      if (answered == bytes) {
        answerTime = answerFloor.nanos(now, now - sentAt);
      }
      rate.delivered(received, sentAt, now, answerTime);
      growAgain(now);
      lookAtReserve(now);
      wake();
    }
  }

  public BulkLane(Loop loop, Supplier<RoundTrip> roundTrip, RateLimit limit) {
    this.loop = loop;
    this.roundTrip = roundTrip;
    this.limit = limit;
  }

  /**
   * A place for a request, or null if there is none now; {@code retry} then runs once, when there
   * may be one again.
   */
  public Slot reserve(long bytes, Runnable retry) {
    long expected = (long) Math.ceil(bytes * share);
    if (outstanding > 0 && outstanding + expected > window()) {
      full = true;
      waiting.add(retry);
      return null;
    }
    Duration wait = limit.take(expected, loop.nanoTime());
    if (!wait.isZero()) {
      full = true;
      waiting.add(retry);
      loop.after(wait.compareTo(MAX_CAP_WAIT) < 0 ? wait : MAX_CAP_WAIT, this::wake);
      return null;
    }
    return new Slot(bytes, expected);
  }

  /** A guest waits for a block. */
  public void miss() {
    missed = true;
    lastMissAt = loop.nanoTime();
  }

  /**
   * Best size of the next request: small ones on a slow link, so that its window has several, and
   * smaller ones while guests miss, since a miss may have to stand behind one.
   */
  public int requestBytes() {
    int least = missing(loop.nanoTime()) ? MIN_REQUEST_WHILE_MISSING : MIN_REQUEST;
    long part = window() / REQUESTS / least * least;
    return (int) Math.max(least, Math.min(MAX_REQUEST, part));
  }

  /** Bytes that a sequential reader may be ahead: what the link brings in one round trip. */
  public long readAheadBytes() {
    return Math.max(MIN_READ_AHEAD, Math.min(MAX_READ_AHEAD, product()));
  }

  /** Whether the link is so slow that data should be compressed, and this node can unpack it. */
  public boolean wantsCompression() {
    return Compression.available() && rate.bytesPerSecond() < FAST_LINK;
  }

  private boolean missing(long now) {
    return missed && now - lastMissAt < MISS_MEMORY.toNanos();
  }

  /** Bytes that may be outstanding now. */
  long window() {
    long product = product();
    if (product == 0) {
      return FIRST_WINDOW;
    }
    long now = loop.nanoTime();
    boolean yields = missing(now);
    double factor = 1 + reserve.part();
    if (rate.isGrowing()) {
      factor = Math.max(GROWING, factor);
    } else if (draining(now)) {
      factor = DRAINED;
    } else if (yields) {
      factor -= Reserve.LEAST;
    }
    long least = yields ? MIN_WINDOW_WHILE_MISSING : MIN_WINDOW;
    return Math.max(least, Math.min(MAX_WINDOW, (long) (product * factor)));
  }

  private boolean draining(long now) {
    return rttFloor.draining(now) || answerFloor.draining(now);
  }

  private void growAgain(long now) {
    if (rate.isGrowing() || !missing(now)) {
      growAgainAt = now + GROW_AGAIN.toNanos();
    } else if (now - growAgainAt >= 0) {
      rate.growAgain(now);
    }
  }

  private void lookAtReserve(long now) {
    RoundTrip measured = roundTrip.get();
    boolean enough = outstanding > AT_HEIGHT * product();
    boolean atHeight = enough && !rate.isGrowing() && !draining(now) && !missing(now);
    reserve.look(now, atHeight, rttFloor.nanos(now, measured.least()), measured.present());
  }

  /**
   * What is under way while the link is full without a queue, in bytes: its rate times the time of
   * an answer, which is more than the round trip where an end is busy; 0 if unknown.
   */
  private long product() {
    long rtt = rttFloor.nanos(loop.nanoTime(), roundTrip.get().least());
    double nanos = Math.max(rtt, answerTime);
    return (long) (rate.bytesPerSecond() * nanos / Duration.ofSeconds(1).toNanos());
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
