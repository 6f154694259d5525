// SPDX-License-Identifier: Apache-2.0
package io.vmferry.simulation;

import io.vmferry.relay.sim.VirtualTime;
import io.vmferry.relay.store.ImageHash;
import java.util.ArrayDeque;
import java.util.Deque;

/** What happened, and when; its newest lines and a fingerprint of all. */
final class Trace {
  private static final int KEPT = 400;

  private final VirtualTime time;
  private final Deque<String> lines = new ArrayDeque<>();
  private long fingerprint;

  Trace(VirtualTime time) {
    this.time = time;
  }

  void add(String what) {
    String line = time.nanoTime() / 1_000_000 + " ms " + what;
    mix(line.hashCode());
    lines.add(line);
    if (lines.size() > KEPT) {
      lines.remove();
    }
  }

  /** Something too frequent to be a line of its own. */
  void mix(long value) {
    fingerprint = ImageHash.mix(ImageHash.mix(fingerprint, value), time.nanoTime());
  }

  long fingerprint() {
    return fingerprint;
  }

  @Override
  public String toString() {
    return String.join("\n", lines);
  }
}
