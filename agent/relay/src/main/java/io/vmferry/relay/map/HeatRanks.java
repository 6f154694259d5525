// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.map;

/**
 * A volume's regions by how lately they were used: rank 0 most lately, each further rank about
 * twice as long ago. Few ranks, so that neighbours mostly share one and are copied in one go.
 *
 * @param regionShift size of a region in bytes, as a power of two
 * @param ranks 0 to {@link #OLDEST}, or {@link #NEVER}, per region
 */
@SuppressWarnings("ArrayRecordComponent") // compared and printed nowhere; a list would box
public record HeatRanks(int regionShift, byte[] ranks) {
  /** The oldest use that is told from none. */
  public static final byte OLDEST = Integer.SIZE;

  /** Not used, as far as is known. */
  public static final byte NEVER = 63;

  /** 256 KiB: one request of the background copy. Finer would be slower to copy, and to send. */
  static final int MIN_REGION_SHIFT = 18;

  /** Bounds memory at both ends and the form on the wire; beyond 64 GiB regions are larger. */
  static final int MAX_REGIONS = 1 << 18;

  /** The same regions the other way round: what was never used, or longest ago, has rank 0. */
  public HeatRanks coldestFirst() {
    byte[] reversed = new byte[ranks.length];
    for (int region = 0; region < ranks.length; region++) {
      reversed[region] = (byte) (ranks[region] == NEVER ? 0 : OLDEST - ranks[region]);
    }
    return new HeatRanks(regionShift, reversed);
  }

  /** The rank of a use that long ago. */
  static byte ofAge(int age) {
    return (byte) (Integer.SIZE - Integer.numberOfLeadingZeros(age));
  }

  /** The size of regions that this release uses for a volume of {@code size} bytes. */
  static int regionShift(long size) {
    int shift = MIN_REGION_SHIFT;
    while (regionCount(size, shift) > MAX_REGIONS) {
      shift++;
    }
    return shift;
  }

  static int regions(long size, int shift) {
    return (int) regionCount(size, shift);
  }

  /** Number of regions, the last of which may be short. */
  static long regionCount(long size, int shift) {
    return ((size - 1) >>> shift) + 1;
  }
}
