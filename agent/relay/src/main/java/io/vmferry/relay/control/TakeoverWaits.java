// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.control;

import io.vmferry.api.metrics.Histogram;
import io.vmferry.relay.exec.Loop;
import java.util.HashMap;
import java.util.Map;
import java.util.UUID;

/**
 * Measures how long the first write of a guest waits for the takeover that it begins: the part of a
 * migration's downtime that is the disk's. Loop only.
 */
public final class TakeoverWaits {
  private final Loop loop;
  private final Histogram waits = new Histogram();
  private final Map<UUID, Long> since = new HashMap<>();

  public TakeoverWaits(Loop loop) {
    this.loop = loop;
  }

  /** A request of a guest waits for it; told for each of them. */
  public void wanted(UUID volume) {
    since.putIfAbsent(volume, loop.nanoTime());
  }

  /** The replica has changed its state. */
  public void changed(UUID volume, boolean owner) {
    Long begun = since.remove(volume);
    if (begun != null && owner) {
      waits.observe(loop.nanoTime() - begun);
    }
  }

  /** All of this process, for another thread. */
  Histogram measured() {
    return waits.copy();
  }
}
