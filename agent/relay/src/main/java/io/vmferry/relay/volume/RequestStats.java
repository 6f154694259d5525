// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.volume;

import io.vmferry.api.metrics.Histogram;
import io.vmferry.api.metrics.RelayMeasurements.Requests;
import io.vmferry.relay.exec.Loop;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/**
 * How often a volume's guests asked for what, and how long it took. On the way of every request: it
 * allocates nothing and reads the clock once. Loop only, hence no locks.
 */
final class RequestStats {
  private static final GuestRequest.Kind[] KINDS = GuestRequest.Kind.values();

  private final Loop loop;
  private final Histogram[] durations = new Histogram[KINDS.length];
  private final long[] errors = new long[KINDS.length];
  private final long[] bytes = new long[KINDS.length];

  RequestStats(Loop loop) {
    this.loop = loop;
    for (int i = 0; i < KINDS.length; i++) {
      durations[i] = new Histogram();
    }
  }

  /** A request of a connection that stands was answered. */
  void answered(GuestRequest request, boolean failed) {
    int kind = request.kind.ordinal();
    durations[kind].observe(loop.nanoTime() - request.begun);
    if (failed) {
      errors[kind]++;
    } else {
      bytes[kind] += request.length;
    }
  }

  /** All kinds, for another thread. */
  List<Requests> measured(String volume) {
    List<Requests> measured = new ArrayList<>();
    for (GuestRequest.Kind kind : KINDS) {
      int i = kind.ordinal();
      measured.add(
          new Requests(
              volume,
              kind.name().toLowerCase(Locale.ROOT),
              durations[i].copy(),
              errors[i],
              bytes[i]));
    }
    return measured;
  }
}
