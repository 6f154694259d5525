// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.volume;

import static org.assertj.core.api.Assertions.assertThat;

import io.vmferry.api.metrics.Histogram;
import io.vmferry.api.metrics.RelayMeasurements.Requests;
import io.vmferry.relay.sim.VirtualTime;
import java.time.Duration;
import org.junit.jupiter.api.Test;

final class RequestStatsTest {
  private final VirtualTime time = new VirtualTime();
  private final RequestStats stats = new RequestStats(time.new NodeLoop());

  private Requests of(String operation) {
    return stats.measured("vol").stream()
        .filter(each -> each.operation().equals(operation))
        .findFirst()
        .orElseThrow();
  }

  private GuestRequest request(GuestRequest.Kind kind, long length) {
    GuestRequest request = new GuestRequest(null).open(kind, 0, length, null, false, null);
    request.begun = time.nanoTime();
    return request;
  }

  private static long count(Histogram histogram) {
    return histogram.count();
  }

  @Test
  void eachKindIsMeasuredByItself() {
    GuestRequest read = request(GuestRequest.Kind.READ, 4096);
    GuestRequest write = request(GuestRequest.Kind.WRITE, 512);
    time.run(Duration.ofMillis(5));
    stats.answered(read, false);
    stats.answered(write, true);
    assertThat(of("read").bytes()).isEqualTo(4096);
    assertThat(of("read").errors()).isZero();
    assertThat(of("write").bytes()).as("of what failed").isZero();
    assertThat(of("write").errors()).isEqualTo(1);
    assertThat(count(of("read").durations())).isEqualTo(1);
    assertThat(count(of("write").durations())).isEqualTo(1);
    assertThat(count(of("flush").durations())).isZero();
  }
}
