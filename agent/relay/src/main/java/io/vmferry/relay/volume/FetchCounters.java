// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.volume;

import io.vmferry.api.VolumeStatus;
import io.vmferry.relay.exec.Loop;
import java.time.Duration;

/** What fetch mode has done since this replica took over, in bytes. Loop only. */
final class FetchCounters {
  /** Rates are averaged over this time: short enough to show a change, long enough to be calm. */
  private static final Duration RATE_WINDOW = Duration.ofSeconds(4);

  private static final int SLOTS = 8;

  private final Loop loop;
  private final long slotNanos = RATE_WINDOW.toNanos() / SLOTS;
  private final long[] slots = new long[SLOTS];
  private long currentSlot;

  private long demand;
  private long background;
  private long holes;
  private long overwritten;
  private long wire;

  FetchCounters(Loop loop) {
    this.loop = loop;
    this.currentSlot = loop.nanoTime() / slotNanos;
  }

  void demand(long bytes) {
    demand += bytes;
    count(bytes);
  }

  void background(long bytes) {
    background += bytes;
    count(bytes);
  }

  void holes(long bytes) {
    holes += bytes;
  }

  void overwritten(long bytes) {
    overwritten += bytes;
  }

  /** Bytes of data travelled, compressed or not; some may have come in vain. */
  void wire(long bytes) {
    wire += bytes;
  }

  /** Bytes per second that were fetched lately, before compression. */
  private long rate() {
    advance();
    long sum = 0;
    for (long slot : slots) {
      sum += slot;
    }
    return sum / RATE_WINDOW.toSeconds();
  }

  /**
   * What the control API shows.
   *
   * @param missing bytes
   * @param waiting guest requests that wait for blocks
   */
  VolumeStatus.FetchStatus status(String origin, boolean up, long missing, int waiting) {
    long rate = rate();
    Long eta = missing == 0 ? Long.valueOf(0) : rate == 0 ? null : Long.valueOf(missing / rate);
    return new VolumeStatus.FetchStatus(
        origin, up, demand, background, holes, overwritten, wire, rate, eta, waiting);
  }

  private void count(long bytes) {
    advance();
    slots[Math.floorMod(currentSlot, SLOTS)] += bytes;
  }

  private void advance() {
    long now = loop.nanoTime() / slotNanos;
    for (long slot = Math.max(currentSlot + 1, now - SLOTS + 1); slot <= now; slot++) {
      slots[Math.floorMod(slot, SLOTS)] = 0;
    }
    currentSlot = now;
  }
}
