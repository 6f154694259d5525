// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.map;

/**
 * How lately the guest used each region of a volume, kept by the owner. A new owner copies first
 * what was used last.
 *
 * <p>Time is counted in requests, not in seconds: a guest that sleeps for an hour doesn't forget
 * what it works on, and the guest's way needs no clock. A region takes four bytes and a volume at
 * most 1 MiB; nothing is taken before the first request. It is a hint: it dies with the process,
 * and nothing depends on it but the order of a copy. Loop only.
 */
public final class HeatMap {
  private static final int NEVER = 0;

  /** Requests that count as the same time, as a power of two: 2^42 of them pass before a wrap. */
  private static final int TICK_SHIFT = 10;

  private final int regionShift;
  private final int regions;

  /** Tick of the last use plus one, per region; null before the first. */
  private int[] lastUse;

  private long requests;

  /** The heat of a volume of {@code size} bytes, none of it used yet. */
  public HeatMap(long size) {
    this.regionShift = HeatRanks.regionShift(size);
    this.regions = HeatRanks.regions(size, regionShift);
  }

  /** A guest reads or writes these bytes, at least one. */
  public void touch(long offset, long length) {
    if (lastUse == null) {
      lastUse = new int[regions];
    }
    requests++;
    int tick = tick();
    int last = (int) ((offset + length - 1) >>> regionShift);
    for (int region = (int) (offset >>> regionShift); region <= last; region++) {
      lastUse[region] = tick;
    }
  }

  private int tick() {
    int tick = (int) (requests >>> TICK_SHIFT) + 1;
    return tick == NEVER ? tick + 1 : tick;
  }

  /** The regions in order of their last use, as of now. */
  public HeatRanks ranks() {
    byte[] ranks = new byte[regions];
    for (int region = 0; region < regions; region++) {
      boolean never = lastUse == null || lastUse[region] == NEVER;
      ranks[region] = never ? HeatRanks.NEVER : HeatRanks.ofAge(tick() - lastUse[region]);
    }
    return new HeatRanks(regionShift, ranks);
  }
}
