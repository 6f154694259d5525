// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.store;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.Unpooled;
import io.vmferry.api.Epoch;
import io.vmferry.relay.map.BlockMap;
import io.vmferry.relay.map.HeapBlockMap;
import io.vmferry.relay.map.MalformedMapException;
import io.vmferry.relay.map.StaleMapCodec;
import java.io.Closeable;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.Optional;
import java.util.UUID;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The durable record of the blocks that a replica holds: a checkpoint, replaced as a whole, and a
 * log of what was added since. The caller makes a block's data durable before it appends the block.
 *
 * <p>A checkpoint names its log by sequence, and the log is durable before the checkpoint that
 * names it. No file is written to after a restart: opening starts a new log and checkpoint, so what
 * a killed process left in the page cache, perhaps unforced, never counts as durable by being seen.
 *
 * <p>Blocks; for I/O threads, one call at a time. A failed force poisons the object: every later
 * call fails. A failure for want of space doesn't: the same call may be repeated.
 */
public final class HeldJournal implements Closeable {

  private static final Logger logger = LoggerFactory.getLogger(HeldJournal.class);

  static final String CHECKPOINT = "held.map";
  private static final String LOG_PREFIX = "held-";
  private static final String LOG_SUFFIX = ".log";
  private static final String KIND = "held";

  /** A log is compacted when it outgrows this and the checkpoint, in bytes. */
  static final long MIN_COMPACTION_BYTES = 1L << 20;

  /** Larger additions go into a new checkpoint at once instead of the log, in bytes. */
  static final int MAX_RECORD_BYTES = 1 << 20;

  /** A log grows beyond its compaction only while compaction fails, and never beyond this. */
  private static final long MAX_LOG_BYTES = 1L << 30;

  private final FileOps ops;
  private final Path directory;
  private final UUID volume;
  private final DurableFile checkpoint;
  private final HeapBlockMap held;
  private Epoch epoch;

  /** Sequence of the last checkpoint that was written or tried; never used twice. */
  private long sequence;

  /** The open log; null after a failed write, until the next checkpoint. */
  private FileOps.Output log;

  private Path logPath;
  private ByteBuffer logHeader;
  private long logBytes;
  private long logRecords;
  private long compactAt;
  private IOException poison;

  private HeldJournal(FileOps ops, Path directory, UUID volume, Epoch epoch, HeapBlockMap held) {
    this.ops = ops;
    this.directory = directory;
    this.volume = volume;
    this.checkpoint = checkpointFile(ops, directory, held.blocks());
    this.epoch = epoch;
    this.held = held;
  }

  private static DurableFile checkpointFile(FileOps ops, Path directory, long blocks) {
    int max = Math.toIntExact(Long.BYTES + StaleMapCodec.maxEncodedBytes(blocks));
    return new DurableFile(ops, directory.resolve(CHECKPOINT), KIND, max);
  }

  /**
   * Creates a journal; durable when it returns.
   *
   * @param directory the volume's directory
   * @param initial blocks held from the start; copied
   * @throws FileAlreadyExistsException if there is one
   */
  public static HeldJournal create(
      FileOps ops, Path directory, UUID volume, Epoch epoch, BlockMap initial) throws IOException {
    HeldJournal journal =
        new HeldJournal(ops, directory, volume, epoch, HeapBlockMap.copyOf(initial));
    if (journal.checkpoint.read().isPresent()) {
      throw new FileAlreadyExistsException(journal.checkpoint.path().toString());
    }
    journal.removeLogsExcept(null);
    journal.startLog(epoch, journal.held);
    return journal;
  }

  /**
   * Opens the journal of a volume, or returns empty if there is none. Writes a new checkpoint, so
   * that all that {@link #held} returns is durable.
   *
   * @param volume what the journal must belong to
   * @param blocks number of blocks of the volume
   * @throws BrokenFileException if the journal is damaged or another volume's
   */
  public static Optional<HeldJournal> open(FileOps ops, Path directory, UUID volume, long blocks)
      throws IOException {
    DurableFile file = checkpointFile(ops, directory, blocks);
    Optional<DurableFile.Content> content = file.read();
    if (content.isEmpty()) {
      return Optional.empty();
    }
    UUID found = content.get().uuid();
    if (!found.equals(volume)) {
      throw new BrokenFileException(
          file.path(), "it belongs to volume " + found + " and not to " + volume);
    }
    ByteBuf payload = Unpooled.wrappedBuffer(content.get().payload());
    long sequence;
    HeapBlockMap held;
    try {
      sequence = payload.isReadable(Long.BYTES) ? payload.readLong() : 0;
      held = StaleMapCodec.decode(payload, blocks);
    } catch (MalformedMapException e) {
      throw new BrokenFileException(file.path(), e.getMessage());
    }
    HeldJournal journal = new HeldJournal(ops, directory, volume, content.get().epoch(), held);
    journal.logPath = journal.logPath(sequence);
    byte[] log;
    try {
      log = ops.read(journal.logPath, MAX_LOG_BYTES);
    } catch (NoSuchFileException e) {
      throw new BrokenFileException(journal.logPath, "the log of the checkpoint is missing");
    }
    HeldLog.replay(journal.logPath, log, HeldLog.header(volume, sequence), held);
    journal.sequence = sequence;
    journal.removeLogsExcept(journal.logPath);
    journal.startLog(journal.epoch, held);
    return Optional.of(journal);
  }

  /** Epoch of the last create or reset. */
  public Epoch epoch() {
    return epoch;
  }

  /** A copy of the blocks that are durably recorded as held. */
  public HeapBlockMap held() {
    return HeapBlockMap.copyOf(held);
  }

  /**
   * Records blocks as held; durable when it returns. After an exception they may be recorded or
   * not.
   *
   * @param newlyHeld blocks to add; read, never changed
   */
  public void append(BlockMap newlyHeld) throws IOException {
    checkPoison();
    checkSize(newlyHeld);
    if (newlyHeld.cardinality() == 0) {
      return;
    }
    ByteBuffer map = encode(newlyHeld);
    long bytes = HeldLog.RECORD_OVERHEAD_BYTES + (long) map.remaining();
    if (log == null || bytes > MAX_RECORD_BYTES || logBytes + bytes > MAX_LOG_BYTES) {
      HeapBlockMap sum = held();
      HeldLog.addAll(sum, newlyHeld);
      startLog(epoch, sum);
      HeldLog.addAll(held, newlyHeld);
      return;
    }
    writeRecord(HeldLog.record(logHeader, logRecords + 1, map));
    logRecords++;
    mark(logRecords);
    logBytes += bytes;
    HeldLog.addAll(held, newlyHeld);
    if (logBytes > compactAt) {
      compact();
    }
  }

  private void writeRecord(ByteBuffer record) throws IOException {
    try {
      log.write(record);
    } catch (IOException e) {
      // A part of the record may be there. Nothing may follow it: go on in another log.
      closeLog();
      throw e;
    }
    try {
      log.force();
    } catch (IOException e) {
      throw poisoned(e);
    }
  }

  /**
   * Not forced: the next append does that, or the kernel within half a minute. The append is
   * durable without it.
   */
  private void mark(long number) {
    try {
      log.overwrite(HeldLog.markAt(number), HeldLog.mark(logHeader, number));
    } catch (IOException e) {
      logger.warn("The log {} takes no marks any more; the next append begins another", logPath, e);
      closeLog();
    }
  }

  /** Compaction saves space; what was appended is durable without it. */
  private void compact() {
    try {
      startLog(epoch, held);
    } catch (IOException e) {
      compactAt = 2 * logBytes;
      logger.warn("The log {} could not be compacted and goes on growing", logPath, e);
    }
  }

  /**
   * Replaces all that is recorded; durable when it returns. After an exception, if no force failed,
   * the old record is in force.
   */
  public void reset(Epoch newEpoch, BlockMap newHeld) throws IOException {
    checkPoison();
    checkSize(newHeld);
    startLog(newEpoch, newHeld);
    held.clear(0, held.blocks());
    HeldLog.addAll(held, newHeld);
    epoch = newEpoch;
  }

  /** Deletes the journal, durably, and closes it. */
  public void delete() throws IOException {
    checkPoison();
    closeLog();
    // Log after checkpoint: a checkpoint without its log would be a broken journal.
    checkpoint.delete();
    removeLogsExcept(null);
    forceDirectory();
    poison = new IOException("The journal in " + directory + " was deleted");
  }

  /** Closes the log. All that was appended is durable without it. */
  @Override
  public void close() {
    closeLog();
    if (poison == null) {
      poison = new IOException("The journal in " + directory + " is closed");
    }
  }

  /** Starts a new log and then the checkpoint that names it; removes the log before. */
  private void startLog(Epoch newEpoch, BlockMap map) throws IOException {
    sequence++;
    Path newPath = logPath(sequence);
    ByteBuffer header = HeldLog.header(volume, sequence);
    byte[] payload = checkpointPayload(map);
    FileOps.Output newLog = ops.create(newPath);
    try {
      newLog.write(HeldLog.start(header));
      try {
        newLog.force();
      } catch (IOException e) {
        throw poisoned(e);
      }
      forceDirectory();
      writeCheckpoint(new DurableFile.Content(volume, newEpoch, payload));
    } catch (IOException e) {
      discard(newLog);
      throw e;
    }
    Path oldPath = logPath;
    closeLog();
    log = newLog;
    logPath = newPath;
    logHeader = header;
    logBytes = HeldLog.RECORDS_AT;
    logRecords = 0;
    compactAt = Math.max(MIN_COMPACTION_BYTES, payload.length);
    if (oldPath != null) {
      removeQuietly(oldPath);
    }
  }

  private void writeCheckpoint(DurableFile.Content content) throws IOException {
    try {
      checkpoint.write(content);
    } catch (IOException e) {
      if (checkpoint.isPoisoned()) {
        throw poisoned(e);
      }
      throw e;
    }
  }

  private byte[] checkpointPayload(BlockMap map) {
    ByteBuf out = Unpooled.buffer();
    out.writeLong(sequence);
    StaleMapCodec.encode(map, out);
    byte[] payload = new byte[out.readableBytes()];
    out.readBytes(payload);
    return payload;
  }

  private static ByteBuffer encode(BlockMap map) {
    ByteBuf out = Unpooled.buffer();
    StaleMapCodec.encode(map, out);
    return out.nioBuffer();
  }

  private void discard(FileOps.Output output) {
    try {
      output.close();
    } catch (IOException e) {
      logger.debug("Closing an abandoned log", e);
    }
  }

  private void removeQuietly(Path old) {
    try {
      ops.delete(old);
    } catch (IOException e) {
      // No harm: it is named by no checkpoint and removed when the journal is opened again.
      logger.warn("The old log {} could not be deleted", old, e);
    }
  }

  private void removeLogsExcept(Path wanted) throws IOException {
    for (Path file : ops.list(directory)) {
      String name = file.getFileName().toString();
      if (name.startsWith(LOG_PREFIX) && name.endsWith(LOG_SUFFIX) && !file.equals(wanted)) {
        ops.delete(file);
      }
    }
  }

  private void closeLog() {
    if (log != null) {
      discard(log);
      log = null;
    }
  }

  private Path logPath(long ofSequence) {
    return directory.resolve(LOG_PREFIX + ofSequence + LOG_SUFFIX);
  }

  private void checkSize(BlockMap map) {
    if (map.blocks() != held.blocks()) {
      throw new IllegalArgumentException(
          "A map of " + map.blocks() + " blocks for a volume of " + held.blocks());
    }
  }

  private void forceDirectory() throws IOException {
    try {
      ops.forceDirectory(directory);
    } catch (IOException e) {
      throw poisoned(e);
    }
  }

  private IOException poisoned(IOException cause) {
    poison =
        new IOException(
            "The journal in "
                + directory
                + " could not be made durable; the volume stops here ("
                + cause.getMessage()
                + "). Check the disk, then restart the relay.",
            cause);
    return poison;
  }

  private void checkPoison() throws IOException {
    if (poison != null) {
      throw new IOException(poison.getMessage(), poison);
    }
  }
}
