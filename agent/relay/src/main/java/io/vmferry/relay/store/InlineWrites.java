// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.store;

/**
 * Whether the next write of a file may be made on the event loop, where the file system can't
 * promise that it won't wait (ext4 and tmpfs refuse RWF_NOWAIT for writes).
 *
 * <p>Nearly always such a write is a copy into the page cache, a few microseconds, and a change of
 * threads would cost several times that. But it may have to wait: for a block to be read that it
 * covers in part, which is seen from its edges; or because too much is dirty, or the file system's
 * journal is busy, which is seen only afterwards. So writes stay on the loop only as long as they
 * are quick. After one slow write they go to disk threads, for a time that doubles each time this
 * happens again, and beyond it until the writes there have become quick: a disk that stays slow is
 * noticed where waiting costs nobody anything.
 *
 * <p>Loop only.
 */
final class InlineWrites {

  /**
   * Nanoseconds; a write that took longer has waited. The largest one made on the loop copies for
   * 0.2 ms, and a thread that lost its processor to another may be back after 2.
   */
  static final long SLOW = 3_000_000;

  /** Nanoseconds without writes on the loop after a slow one. */
  static final long FIRST_PAUSE = 50_000_000;

  /** Nanoseconds; one slow write in this time is what the loop may have to bear. */
  static final long LONGEST_PAUSE = 30_000_000_000L;

  /** Times the last pause: so long must writes have been quick for the next pause to be shorter. */
  private static final int FORGIVEN_AFTER = 8;

  /** Bytes; a write of whole pages never needs what the disk has. */
  private static final int PAGE = 4096;

  private boolean paused;
  private long pausedAt;
  private long resumedAt;
  private long pause;

  /** Whether a write of this range, at this time in nanoseconds, may be made on the loop. */
  boolean allowed(long offset, int length, long now) {
    if (((offset | length) & (PAGE - 1)) != 0) {
      return false;
    }
    if (paused && now - pausedAt >= pause) {
      paused = false;
      resumedAt = now;
    }
    return !paused;
  }

  /** A write on the loop began at {@code began} and is over at {@code now}. */
  void madeHere(long began, long now) {
    if (now - began < SLOW) {
      return;
    }
    boolean again = pause > 0 && began - resumedAt < FORGIVEN_AFTER * pause;
    pause = again ? Math.min(2 * pause, LONGEST_PAUSE) : FIRST_PAUSE;
    paused = true;
    pausedAt = now;
  }

  /** A write on a disk thread took so many nanoseconds and was known to be over at {@code now}. */
  void madeElsewhere(long nanos, long now) {
    if (nanos >= SLOW && paused) {
      pausedAt = now;
    }
  }
}
