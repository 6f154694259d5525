// SPDX-License-Identifier: Apache-2.0
package io.vmferry.api.metrics;

/**
 * How often something took how long. Observing allocates nothing and takes no lock: it is made for
 * the way of a guest's request. Not thread-safe.
 */
public final class Histogram {
  /** 2^14 ns is 16 µs: a read from the page cache takes less. */
  private static final int FIRST_BITS = 14;

  /** Four to one: coarse, but cheap to find, and there are many volumes. */
  private static final int STEP_BITS = 2;

  /** The last one is 2^36 ns, 69 seconds: beyond it a guest has given up. */
  static final int BUCKETS = 12;

  private static final double NANOS = 1e9;

  private final long[] counts = new long[BUCKETS + 1];
  private long sumNanos;

  /** Notes one of so many nanoseconds. */
  public void observe(long nanos) {
    counts[bucket(nanos)]++;
    sumNanos += nanos;
  }

  private static int bucket(long nanos) {
    if (nanos <= 1L << FIRST_BITS) {
      return 0;
    }
    // The power of two that it is not more than.
    int bits = Long.SIZE - Long.numberOfLeadingZeros(nanos - 1);
    return Math.min(BUCKETS, (bits - FIRST_BITS + STEP_BITS - 1) / STEP_BITS);
  }

  /** As it is now, for another thread. */
  public Histogram copy() {
    Histogram copy = new Histogram();
    System.arraycopy(counts, 0, copy.counts, 0, counts.length);
    copy.sumNanos = sumNanos;
    return copy;
  }

  /** Upper end of a bucket in seconds. */
  static double bound(int bucket) {
    return (1L << (FIRST_BITS + STEP_BITS * bucket)) / NANOS;
  }

  /** How many took no longer than the bucket's upper end; of the one after the last: all. */
  long upTo(int bucket) {
    long sum = 0;
    for (int i = 0; i <= bucket; i++) {
      sum += counts[i];
    }
    return sum;
  }

  /** How many there were. */
  public long count() {
    return upTo(BUCKETS);
  }

  /** Of all together. */
  public double sumSeconds() {
    return sumNanos / NANOS;
  }
}
