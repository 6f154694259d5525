// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.map;

import io.netty.buffer.ByteBuf;
import java.util.Arrays;

/**
 * The encoded form of {@link HeatRanks} on the wire. Layout, big endian:
 *
 * <pre>
 * u32  magic "VMFH"
 * u32  version, 1
 * u32  size of a region, as a power of two: 12 to 62
 * u32  number of regions, at most 262144
 *      until all regions are covered, in order:
 *        u8 rank (0 to 32, or 63 for never), varint n: n regions (1 or more) of that rank
 * u32  CRC32C of all bytes before
 * </pre>
 *
 * <p>A volume that was never used takes some 25 bytes; the worst takes two bytes per region.
 */
public final class HeatCodec {
  private static final WireForm FORM = new WireForm("heat map");

  static final int MAGIC = 0x564d4648;
  static final int VERSION = 1;
  static final int HEADER_BYTES = 16;
  static final int CRC_BYTES = 4;

  /** A region is at least one block, and its size is a positive number. */
  private static final int MIN_SHIFT = 12;

  private static final int MAX_SHIFT = 62;

  /** Bytes of a varint that can hold the number of regions; longer ones are refused. */
  private static final int MAX_VARINT_BYTES = 3;

  private HeatCodec() {}

  /** Appends the encoded form of {@code heat} to {@code out}. */
  public static void encode(HeatRanks heat, ByteBuf out) {
    int start = out.writerIndex();
    byte[] ranks = heat.ranks();
    out.writeInt(MAGIC).writeInt(VERSION).writeInt(heat.regionShift()).writeInt(ranks.length);
    for (int from = 0; from < ranks.length; ) {
      int to = from + 1;
      while (to < ranks.length && ranks[to] == ranks[from]) {
        to++;
      }
      out.writeByte(ranks[from]);
      WireForm.writeVarint(out, to - from);
      from = to;
    }
    out.writeInt(WireForm.crc(out, start, out.writerIndex() - start));
  }

  /**
   * Reads one encoded form, which must be all of {@code in}.
   *
   * @param size bytes of the volume
   * @throws MalformedMapException if anything is not as it must be
   */
  public static HeatRanks decode(ByteBuf in, long size) throws MalformedMapException {
    int start = in.readerIndex();
    int length = in.readableBytes() - CRC_BYTES;
    FORM.require(length >= HEADER_BYTES, "it is cut short");
    FORM.require(in.readInt() == MAGIC, "it doesn't start with the mark of a heat map");
    int version = in.readInt();
    FORM.require(
        version == VERSION, "it has version " + version + "; this release reads version 1");
    FORM.require(
        in.getInt(start + length) == WireForm.crc(in, start, length), "its checksum is wrong");
    int shift = in.readInt();
    FORM.require(shift >= MIN_SHIFT && shift <= MAX_SHIFT, "its regions have the size 2^" + shift);
    int regions = in.readInt();
    FORM.require(
        regions >= 1 && regions <= HeatRanks.MAX_REGIONS, "it has " + regions + " regions");
    FORM.require(
        regions == HeatRanks.regionCount(size, shift),
        "its " + regions + " regions are not those of a volume of " + size + " bytes");

    ByteBuf body = in.readSlice(start + length - in.readerIndex());
    byte[] ranks = new byte[regions];
    for (int from = 0; from < regions; ) {
      FORM.require(body.isReadable(), "it ends at region " + from + " of " + regions);
      byte rank = body.readByte();
      boolean used = rank >= 0 && rank <= HeatRanks.OLDEST;
      FORM.require(used || rank == HeatRanks.NEVER, "rank " + rank);
      int count = (int) FORM.readVarint(body, MAX_VARINT_BYTES);
      FORM.require(count >= 1 && count <= regions - from, "it has more regions than the volume");
      Arrays.fill(ranks, from, from + count, rank);
      from += count;
    }
    FORM.require(!body.isReadable(), "it goes on after the last region");
    return new HeatRanks(shift, ranks);
  }
}
