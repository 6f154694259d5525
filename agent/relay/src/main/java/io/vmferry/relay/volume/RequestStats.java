// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.volume;

import io.vmferry.api.metrics.Histogram;
import io.vmferry.api.metrics.RelayMeasurements.Requests;
import io.vmferry.relay.exec.Loop;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/**
 * How often a volume's guests asked for what, and how long it took. On the way of every request: it
 * allocates nothing and reads the clock once. Loop only, hence no locks.
 */
final class RequestStats {
  private final Loop loop;
  private final Map<GuestRequest.Kind, Counts> counts = new EnumMap<>(GuestRequest.Kind.class);

  /** Of one kind. */
  private static final class Counts {
    private final Histogram durations = new Histogram();
    private long errors;
    private long bytes;
  }

  RequestStats(Loop loop) {
    this.loop = loop;
    for (GuestRequest.Kind kind : GuestRequest.Kind.values()) {
      counts.put(kind, new Counts());
    }
  }

  /** A request of a connection that stands was answered. */
  void answered(GuestRequest request, boolean failed) {
    Counts kind = counts.get(request.kind);
    kind.durations.observe(loop.nanoTime() - request.begun);
    if (failed) {
      kind.errors++;
    } else {
      kind.bytes += request.length;
    }
  }

  /** All kinds, for another thread. */
  List<Requests> measured(String volume) {
    List<Requests> measured = new ArrayList<>();
    counts.forEach(
        (kind, each) ->
            measured.add(
                new Requests(
                    volume,
                    kind.name().toLowerCase(Locale.ROOT),
                    each.durations.copy(),
                    each.errors,
                    each.bytes)));
    return measured;
  }
}
