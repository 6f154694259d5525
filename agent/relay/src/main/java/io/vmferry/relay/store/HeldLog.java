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
 * mark    8  number of a record that was forced, 0 for none
 *         4  CRC32C of the log's header and the bytes before
 * record  4  magic "VMFR"
 *         4  length n of the map
 *         8  number of the record in this log, from 1
 *         n  the blocks newly held, in the form of StaleMapCodec
 *         4  CRC32C of the log's header and the record's bytes before
 * </pre>
 *
 * <p>The header is part of each checksum, so nothing of another log is ever valid here.
 *
 * <p>A mark is written after the force of its record and forced by nothing but the next one. It
 * tells damage to the last record from an append that was interrupted: only the second may be
 * dropped. There are two places for marks, used in turn, because the write of a mark may be torn;
 * they have a page of their own, so that one bad page doesn't take the last record and its mark.
 */
final class HeldLog {

  /** Where the records begin. Before are the header and the marks, and zeroes between them. */
  static final int RECORDS_AT = 4096;

  /** Header and marks are in sectors of their own: a torn write spares the others. */
  private static final int SECTOR_BYTES = 512;

  private static final int MARKS = 2;
  private static final int HEADER_BYTES = 36;
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

  /** All bytes before the first record of a new log. */
  static ByteBuffer start(ByteBuffer header) {
    ByteBuffer out = ByteBuffer.allocate(RECORDS_AT);
    return out.put(header.duplicate()).rewind();
  }

  /** Where the mark of a record goes. */
  static long markAt(long number) {
    return SECTOR_BYTES * (1 + number % MARKS);
  }

  /** Says that record {@code number} was forced. */
  static ByteBuffer mark(ByteBuffer header, long number) {
    ByteBuffer out = ByteBuffer.allocate(Long.BYTES + CRC_BYTES).putLong(number);
    return out.putInt(crc(header, out.duplicate().flip())).flip();
  }

  /** Number of the last record that is known to have been forced; 0 if none is. */
  private static long marked(byte[] file, ByteBuffer header) {
    long last = 0;
    for (int n = 0; n < MARKS; n++) {
      ByteBuffer found = ByteBuffer.wrap(file, (int) markAt(n), Long.BYTES + CRC_BYTES);
      long number = found.getLong(found.position());
      // One that isn't valid was never written, or was torn: the other one is the last then.
      if (number % MARKS == n && found.equals(mark(header, number))) {
        last = Math.max(last, number);
      }
    }
    return last;
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
   * of an interrupted append and counts for nothing, unless it was forced or a valid record comes
   * after it.
   *
   * @param header what the log must start with
   */
  static void replay(Path path, byte[] file, ByteBuffer header, HeapBlockMap held)
      throws BrokenFileException {
    if (file.length < RECORDS_AT || !ByteBuffer.wrap(file, 0, HEADER_BYTES).equals(header)) {
      throw new BrokenFileException(path, "its header is not that of the checkpoint's log");
    }
    long last = 0;
    int at = RECORDS_AT;
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
    long forced = marked(file, header);
    if (forced > last) {
      // Not dropped: blocks that a guest wrote here and flushed would be fetched again, as old.
      throw new BrokenFileException(
          path,
          "record "
              + (last + 1)
              + " at byte "
              + at
              + " is damaged or missing, and record "
              + forced
              + " was durable");
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
