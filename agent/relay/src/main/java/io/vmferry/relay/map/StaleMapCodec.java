// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.map;

import io.netty.buffer.ByteBuf;

/**
 * The encoded form of a map, on the wire and inside durable files. Layout, big endian unless said:
 *
 * <pre>
 * u32  magic "VMFM"
 * u32  version, 1
 * u64  number of blocks
 * u64  number of set blocks
 * u32  length of the body in bytes
 *      body: items that cover the chunks of 32768 blocks in order
 *        0x00 varint n          n chunks (1 or more) all clear
 *        0x01 varint n          n chunks (1 or more) all set
 *        0x02 varint r, then r times: varint clear blocks, varint set blocks (1 or more)
 *        0x03 bits              one chunk, first block in the lowest bit, padded with 0 to a byte
 * u32  CRC32C of all bytes before
 * </pre>
 *
 * <p>A uniform map takes about 35 bytes; the worst map takes 4097 bytes per chunk, one bit per
 * block and 1/4096 more.
 */
public final class StaleMapCodec {

  private static final WireForm FORM = new WireForm("encoded map");

  static final int MAGIC = 0x564d464d;
  static final int VERSION = 1;
  static final int HEADER_BYTES = 28;
  static final int CRC_BYTES = 4;

  private static final int CLEAR_CHUNKS = 0;
  private static final int SET_CHUNKS = 1;
  private static final int RUNS = 2;
  private static final int BITS = 3;

  /** More runs than this never take less room than the chunk's bits: a run needs 2 bytes. */
  private static final int MAX_RUNS = ChunkedBlockMap.CHUNK_BYTES / 2;

  /** Bytes of a varint that can hold 32 bits; longer ones are refused. */
  private static final int MAX_VARINT_BYTES = 5;

  private StaleMapCodec() {}

  /** Upper bound in bytes of the encoded form of any map with this many blocks. */
  public static long maxEncodedBytes(long blocks) {
    return HEADER_BYTES
        + CRC_BYTES
        + (long) ChunkedBlockMap.chunksFor(blocks) * (1 + ChunkedBlockMap.CHUNK_BYTES);
  }

  /** Appends the encoded form of {@code map} to {@code out}. */
  public static void encode(BlockMap map, ByteBuf out) {
    ChunkedBlockMap chunked =
        map instanceof ChunkedBlockMap c ? c : HeapBlockMap.copyOf(map); // one form to encode from
    int start = out.writerIndex();
    out.writeInt(MAGIC).writeInt(VERSION).writeLong(map.blocks()).writeLong(map.cardinality());
    int lengthAt = out.writerIndex();
    out.writeInt(0);
    long[] words = new long[ChunkedBlockMap.CHUNK_WORDS];
    int chunk = 0;
    while (chunk < chunked.chunks()) {
      if (chunked.isUniform(chunk)) {
        chunk = encodeUniform(chunked, chunk, out);
      } else {
        chunked.copyWords(chunk, words);
        encodeMixed(words, chunked.sizeOf(chunk), out);
        chunk++;
      }
    }
    out.setInt(lengthAt, out.writerIndex() - lengthAt - Integer.BYTES);
    out.writeInt(WireForm.crc(out, start, out.writerIndex() - start));
  }

  private static int encodeUniform(ChunkedBlockMap map, int first, ByteBuf out) {
    boolean set = map.countOf(first) > 0;
    int end = first + 1;
    while (end < map.chunks() && map.countOf(end) == (set ? map.sizeOf(end) : 0)) {
      end++;
    }
    out.writeByte(set ? SET_CHUNKS : CLEAR_CHUNKS);
    WireForm.writeVarint(out, end - first);
    return end;
  }

  private static void encodeMixed(long[] words, int size, ByteBuf out) {
    int bitBytes = (size + Byte.SIZE - 1) / Byte.SIZE;
    int runs = countRuns(words);
    if (runs <= MAX_RUNS) {
      int start = out.writerIndex();
      encodeRuns(words, size, runs, out);
      if (out.writerIndex() - start <= bitBytes) {
        return;
      }
      out.writerIndex(start);
    }
    out.writeByte(BITS);
    for (int i = 0; i < bitBytes; i++) {
      out.writeByte((int) (words[i / Long.BYTES] >>> (i % Long.BYTES * Byte.SIZE)));
    }
  }

  /** A run starts at each set bit whose predecessor is clear. */
  private static int countRuns(long[] words) {
    int runs = 0;
    long last = 0;
    for (long word : words) {
      runs += Long.bitCount(word & ~(word << 1 | last));
      last = word >>> (Long.SIZE - 1);
    }
    return runs;
  }

  private static void encodeRuns(long[] words, int size, int runs, ByteBuf out) {
    out.writeByte(RUNS);
    WireForm.writeVarint(out, runs);
    int at = 0;
    for (int run = 0; run < runs; run++) {
      int from = next(words, at, size, true);
      int to = next(words, from, size, false);
      WireForm.writeVarint(out, from - at);
      WireForm.writeVarint(out, to - from);
      at = to;
    }
  }

  private static int next(long[] words, int from, int size, boolean value) {
    int index = from / Long.SIZE;
    long outside = -1L << from;
    while (index * Long.SIZE < size) {
      long word = (value ? words[index] : ~words[index]) & outside;
      if (word != 0) {
        return Math.min(size, index * Long.SIZE + Long.numberOfTrailingZeros(word));
      }
      outside = -1L;
      index++;
    }
    return size;
  }

  /**
   * Reads one encoded map from {@code in}, whose reader index moves past it.
   *
   * @param expectedBlocks the volume's number of blocks
   * @throws MalformedMapException if anything is not as it must be; the reader index is then
   *     unspecified
   */
  public static HeapBlockMap decode(ByteBuf in, long expectedBlocks) throws MalformedMapException {
    int start = in.readerIndex();
    FORM.require(in.readableBytes() >= HEADER_BYTES + CRC_BYTES, "it is cut short");
    FORM.require(in.readInt() == MAGIC, "it doesn't start with the mark of a map");
    int version = in.readInt();
    FORM.require(
        version == VERSION, "it has version " + version + "; this release reads version 1");
    long blocks = in.readLong();
    FORM.require(
        blocks == expectedBlocks,
        "it has " + blocks + " blocks where the volume has " + expectedBlocks);
    long cardinality = in.readLong();
    int length = in.readInt();
    FORM.require(length >= 0 && length <= in.readableBytes() - CRC_BYTES, "its body is cut short");
    int crc = in.getInt(in.readerIndex() + length);
    FORM.require(crc == WireForm.crc(in, start, HEADER_BYTES + length), "its checksum is wrong");

    ByteBuf body = in.readSlice(length);
    in.skipBytes(CRC_BYTES);
    HeapBlockMap map = HeapBlockMap.allClear(blocks);
    int chunk = 0;
    while (chunk < map.chunks()) {
      FORM.require(body.isReadable(), "its body ends at chunk " + chunk + " of " + map.chunks());
      chunk = decodeItem(body, map, chunk);
    }
    FORM.require(!body.isReadable(), "its body goes on after the last chunk");
    FORM.require(
        map.cardinality() == cardinality,
        "it has " + map.cardinality() + " set blocks where its header says " + cardinality);
    return map;
  }

  /** Decodes one item; returns the chunk after it. */
  private static int decodeItem(ByteBuf body, HeapBlockMap map, int chunk)
      throws MalformedMapException {
    int item = body.readUnsignedByte();
    switch (item) {
      case CLEAR_CHUNKS, SET_CHUNKS -> {
        long count = FORM.readVarint(body, MAX_VARINT_BYTES);
        FORM.require(
            count >= 1 && count <= map.chunks() - chunk, "it has more chunks than the volume");
        int end = chunk + (int) count;
        if (item == SET_CHUNKS) {
          map.set(firstBlock(chunk), Math.min(firstBlock(end), map.blocks()));
        }
        return end;
      }
      case RUNS -> {
        decodeRuns(body, map, chunk);
        return chunk + 1;
      }
      case BITS -> {
        decodeBits(body, map, chunk);
        return chunk + 1;
      }
      default -> throw FORM.malformed("chunk " + chunk + " has the unknown form " + item);
    }
  }

  private static void decodeRuns(ByteBuf body, HeapBlockMap map, int chunk)
      throws MalformedMapException {
    int size = map.sizeOf(chunk);
    long runs = FORM.readVarint(body, MAX_VARINT_BYTES);
    FORM.require(runs <= MAX_RUNS, "chunk " + chunk + " has too many runs");
    long at = 0;
    for (long run = 0; run < runs; run++) {
      long from = at + FORM.readVarint(body, MAX_VARINT_BYTES);
      long to = from + FORM.readVarint(body, MAX_VARINT_BYTES);
      FORM.require(
          from < to && to <= size, "a run of chunk " + chunk + " is empty or past its end");
      map.set(firstBlock(chunk) + from, firstBlock(chunk) + to);
      at = to;
    }
  }

  private static void decodeBits(ByteBuf body, HeapBlockMap map, int chunk)
      throws MalformedMapException {
    int size = map.sizeOf(chunk);
    int bytes = (size + Byte.SIZE - 1) / Byte.SIZE;
    FORM.require(body.readableBytes() >= bytes, "the bits of chunk " + chunk + " are cut short");
    long[] words = new long[ChunkedBlockMap.CHUNK_WORDS];
    for (int i = 0; i < bytes; i++) {
      words[i / Long.BYTES] |= (long) body.readUnsignedByte() << (i % Long.BYTES * Byte.SIZE);
    }
    int used = size % Long.SIZE;
    FORM.require(
        used == 0 || words[size / Long.SIZE] >>> used == 0,
        "chunk " + chunk + " has blocks past the end of the volume");
    map.adopt(chunk, words);
  }

  private static long firstBlock(int chunk) {
    return (long) chunk << ChunkedBlockMap.CHUNK_SHIFT;
  }
}
