// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.store;

import static java.nio.charset.StandardCharsets.US_ASCII;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.Unpooled;
import io.vmferry.relay.map.BlockMap;
import io.vmferry.relay.map.HeapBlockMap;
import io.vmferry.relay.map.MalformedMapException;
import io.vmferry.relay.map.Runs;
import io.vmferry.relay.map.StaleMapCodec;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.UUID;
import java.util.zip.CRC32C;

/**
 * Bytes of the log of a {@link HeldJournal}, big endian.
 *
 * <pre>
 * header  8  magic "VMFHLOG1"
 *        16  UUID of the volume
 *         8  sequence of the checkpoint that this log continues
 *         4  CRC32C of the bytes before
 * record  4  magic "VMFR"
 *         4  length n of the map
 *         8  number of the record in this log, from 1
 *         n  the blocks newly held, in the form of StaleMapCodec
 *         4  CRC32C of the log's header and the record's bytes before
 * </pre>
 *
 * <p>The header is part of each record's checksum, so a record of another log is never valid here.
 */
final class HeldLog {

  static final int HEADER_BYTES = 36;
  private static final int RECORD_HEADER_BYTES = 16;
  private static final int CRC_BYTES = 4;
  static final int RECORD_OVERHEAD_BYTES = RECORD_HEADER_BYTES + CRC_BYTES;
  private static final byte[] MAGIC = "VMFHLOG1".getBytes(US_ASCII);
  private static final int RECORD_MAGIC = 0x564d4652;

  private HeldLog() {}

  static ByteBuffer header(UUID volume, long sequence) {
    ByteBuffer out = ByteBuffer.allocate(HEADER_BYTES);
    out.put(MAGIC);
    out.putLong(volume.getMostSignificantBits()).putLong(volume.getLeastSignificantBits());
    out.putLong(sequence);
    CRC32C crc = new CRC32C();
    crc.update(out.duplicate().flip());
    return out.putInt((int) crc.getValue()).flip();
  }

  static ByteBuffer record(ByteBuffer header, long number, ByteBuffer map) {
    ByteBuffer out = ByteBuffer.allocate(RECORD_OVERHEAD_BYTES + map.remaining());
    out.putInt(RECORD_MAGIC).putInt(map.remaining()).putLong(number).put(map.duplicate());
    return out.putInt(crc(header, out.duplicate().flip())).flip();
  }

  private static int crc(ByteBuffer header, ByteBuffer record) {
    CRC32C crc = new CRC32C();
    crc.update(header.duplicate());
    crc.update(record);
    return (int) crc.getValue();
  }

  /**
   * Adds the blocks of all records to {@code held}. What follows the last valid record is the rest
   * of an interrupted append and counts for nothing, unless a valid record comes after it.
   *
   * @param header what the log must start with
   */
  static void replay(Path path, byte[] file, ByteBuffer header, HeapBlockMap held)
      throws BrokenFileException {
    if (file.length < HEADER_BYTES || !ByteBuffer.wrap(file, 0, HEADER_BYTES).equals(header)) {
      throw new BrokenFileException(path, "its header is not that of the checkpoint's log");
    }
    long last = 0;
    int at = HEADER_BYTES;
    int length = recordLength(header, file, at);
    while (length > 0) {
      ByteBuffer record = ByteBuffer.wrap(file, at, length);
      long found = record.getLong(at + 8);
      if (found != last + 1) {
        throw new BrokenFileException(
            path, "record " + found + " follows record " + last + "; one is missing");
      }
      add(path, file, at, length, held);
      last = found;
      at += length;
      length = recordLength(header, file, at);
    }
    for (int behind = at + 1; behind < file.length; behind++) {
      if (recordLength(header, file, behind) > 0) {
        throw new BrokenFileException(
            path, "the record at byte " + at + " is damaged and a sound one follows it");
      }
    }
  }

  private static void add(Path path, byte[] file, int at, int length, HeapBlockMap held)
      throws BrokenFileException {
    ByteBuf map =
        Unpooled.wrappedBuffer(file, at + RECORD_HEADER_BYTES, length - RECORD_OVERHEAD_BYTES);
    try {
      HeldLog.addAll(held, StaleMapCodec.decode(map, held.blocks()));
    } catch (MalformedMapException e) {
      throw new BrokenFileException(path, "the record at byte " + at + ": " + e.getMessage());
    }
  }

  /** Length of the valid record at {@code at}, or 0 if there is none. */
  private static int recordLength(ByteBuffer header, byte[] file, int at) {
    int left = file.length - at;
    if (left < RECORD_OVERHEAD_BYTES) {
      return 0;
    }
    ByteBuffer record = ByteBuffer.wrap(file);
    int mapLength = record.getInt(at + 4);
    if (record.getInt(at) != RECORD_MAGIC
        || mapLength < 0
        || mapLength > left - RECORD_OVERHEAD_BYTES) {
      return 0;
    }
    int length = RECORD_OVERHEAD_BYTES + mapLength;
    int crcAt = at + length - CRC_BYTES;
    ByteBuffer covered = ByteBuffer.wrap(file, at, length - CRC_BYTES);
    return record.getInt(crcAt) == crc(header, covered) ? length : 0;
  }

  /** Adds all blocks of {@code source}, which has the same number of blocks. */
  static void addAll(BlockMap target, BlockMap source) {
    Runs.forEach(
        source,
        0,
        source.blocks(),
        true,
        (from, to) -> {
          target.set(from, to);
          return true;
        });
  }
}
