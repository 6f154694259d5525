// SPDX-License-Identifier: Apache-2.0
package io.vmferry.api.metrics;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;

class HistogramTest {
  private static int bucketOf(long nanos) {
    Histogram histogram = new Histogram();
    histogram.observe(nanos);
    int bucket = 0;
    while (histogram.upTo(bucket) == 0) {
      bucket++;
    }
    return bucket;
  }

  /** Each bound belongs to its bucket, and one nanosecond more to the next. */
  @Test
  void aDurationIsInTheFirstBucketThatItIsNotMoreThan() {
    assertThat(bucketOf(0)).isZero();
    assertThat(bucketOf(1)).isZero();
    for (int i = 0; i < Histogram.BUCKETS; i++) {
      long bound = Math.round(Histogram.bound(i) * 1e9);
      assertThat(bucketOf(bound)).as("%d ns", bound).isEqualTo(i);
      assertThat(bucketOf(bound + 1)).as("%d ns", bound + 1).isEqualTo(i + 1);
    }
    assertThat(bucketOf(Long.MAX_VALUE)).isEqualTo(Histogram.BUCKETS);
  }

  @Test
  void boundsGoFromMicrosecondsToAMinute() {
    assertThat(Histogram.bound(0)).isEqualTo(16384e-9);
    assertThat(Histogram.bound(Histogram.BUCKETS - 1)).isBetween(60.0, 70.0);
  }

  @Test
  void countsAddUpAndACopyStays() {
    Histogram histogram = new Histogram();
    histogram.observe(1_000);
    histogram.observe(20_000);
    Histogram copy = histogram.copy();
    histogram.observe(3_000_000_000L);
    assertThat(copy.upTo(0)).isEqualTo(1);
    assertThat(copy.upTo(1)).isEqualTo(2);
    assertThat(copy.upTo(Histogram.BUCKETS)).isEqualTo(2);
    assertThat(copy.sumSeconds()).isEqualTo(21e-6);
    assertThat(histogram.upTo(Histogram.BUCKETS)).isEqualTo(3);
    assertThat(histogram.sumSeconds()).isEqualTo(3.000021);
  }
}
