// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.store;

import com.sun.jna.Native;
import com.sun.jna.Pointer;
import io.netty.buffer.ByteBuf;
import io.netty.buffer.PooledByteBufAllocator;
import io.netty.channel.FileRegion;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.Executor;
import java.util.concurrent.RejectedExecutionException;
import java.util.function.LongSupplier;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * A replica's data in a sparse raw file. What the page cache can answer is answered on the event
 * loop; whatever would wait for a disk goes to the I/O executor. For reads the kernel says which is
 * which; where a write is made is decided by {@link FileWriter}.
 *
 * <p>Nothing is ordered here: of two overlapping operations under way either may win.
 */
public final class DiskBlockFile implements BlockFile {

  private static final Logger logger = LoggerFactory.getLogger(DiskBlockFile.class);

  /** Bytes copied on the event loop at most: more than this would hold it for above 0.2 ms. */
  static final int MAX_INLINE_BYTES = 1 << 20;

  /**
   * Extents looked for at first, twice as many each time more are wanted. A client that copies a
   * volume asks for one extent at a time: looking for all of a fragmented file each time would take
   * the square of their number.
   */
  static final int FIRST_EXTENTS = 8;

  private final Path path;
  private final PosixFile file;
  private long size;
  private final Executor eventLoop;
  private final Executor io;
  private final FileWriter writer;
  private final CachedRegion.Host sending = new Sending();
  private ResidentPages resident;

  private boolean tryReads = true;
  private boolean trySends = true;

  /** Operations that go on after their call; the descriptor stays open until there are none. */
  private int underWay;

  /** Those of them that a write would wait for inside the file system: forces and zeroing. */
  private int inTheWay;

  private boolean closed;

  /** The descriptor was given back. */
  private boolean released;

  private boolean forcing;
  private List<Done> waitingForForce = new ArrayList<>();

  /** Why nothing here can be made durable any more; null while all is well. */
  private IOException poison;

  /**
   * For an open file.
   *
   * @param nanoTime monotonic; only differences mean anything
   */
  DiskBlockFile(
      Path path,
      PosixFile file,
      long size,
      Executor eventLoop,
      Executor io,
      LongSupplier nanoTime) {
    this.path = path;
    this.file = file;
    this.size = size;
    this.eventLoop = eventLoop;
    this.io = io;
    this.writer = new FileWriter(file, eventLoop, io, nanoTime, new Writing());
    this.resident = file.residentPages(size);
  }

  /**
   * Creates a file that is one hole; durable when it returns. Blocks.
   *
   * @param size bytes, 1 or more
   * @param eventLoop the volume's event loop: calls come from it, callbacks go to it
   * @param io threads that may wait for the disk
   * @throws IOException if the file exists or can't be made
   */
  public static DiskBlockFile create(Path path, long size, Executor eventLoop, Executor io)
      throws IOException {
    if (size < 1) {
      throw new IllegalArgumentException("A volume of " + size + " bytes is not possible");
    }
    PosixFile file =
        PosixFile.open(
            Libc.INSTANCE, path, PosixFile.O_RDWR | PosixFile.O_CREAT | PosixFile.O_EXCL);
    try {
      file.truncate(size);
      file.fsync();
      new DiskFileOps().forceDirectory(path.toAbsolutePath().getParent());
    } catch (IOException e) {
      file.close();
      throw e;
    }
    return new DiskBlockFile(path, file, size, eventLoop, io, System::nanoTime);
  }

  /**
   * Makes a file larger; durable when it returns. Blocks. What is behind {@code size} is not the
   * volume's, such as what an interrupted growth left: it goes.
   *
   * @param size bytes that count now
   * @param newSize bytes afterwards
   */
  public static void grow(Path path, long size, long newSize) throws IOException {
    PosixFile file = PosixFile.open(Libc.INSTANCE, path, PosixFile.O_RDWR);
    try {
      file.truncate(size);
      file.truncate(newSize);
      file.fsync();
    } finally {
      file.close();
    }
  }

  /**
   * Opens an existing file. Blocks. Parameters as in {@link #create}. A file may be larger: its
   * growth was interrupted before the volume's.
   *
   * @throws BrokenFileException if the file is smaller
   */
  public static DiskBlockFile open(Path path, long size, Executor eventLoop, Executor io)
      throws IOException {
    PosixFile file = PosixFile.open(Libc.INSTANCE, path, PosixFile.O_RDWR);
    try {
      long found = file.size();
      if (found < size) {
        throw new BrokenFileException(
            path, "it has " + found + " bytes where the volume has " + size);
      }
    } catch (IOException e) {
      file.close();
      throw e;
    }
    return new DiskBlockFile(path, file, size, eventLoop, io, System::nanoTime);
  }

  @Override
  public long size() {
    return size;
  }

  @Override
  public void grown(long newSize) {
    size = newSize;
    resident.unmap();
    resident = file.residentPages(newSize);
  }

  @Override
  public void read(long offset, ByteBuf target, int length, Done done) {
    checkRange(offset, length);
    target.ensureWritable(length);
    if (!target.hasMemoryAddress()) {
      readByCopy(offset, target, length, done);
      return;
    }
    long address = target.memoryAddress() + target.writerIndex();
    int progress;
    try {
      progress = readHere(offset, address, length);
    } catch (ErrnoException e) {
      done.done(e);
      return;
    }
    if (progress == length && !closed) {
      target.writerIndex(target.writerIndex() + length);
      done.done(null);
      return;
    }
    submit(
        () -> file.read(offset + progress, address + progress, length - progress),
        error -> {
          if (error == null) {
            target.writerIndex(target.writerIndex() + length);
          }
          done.done(error);
        });
  }

  /** For composite and heap buffers, which have no one address. */
  private void readByCopy(long offset, ByteBuf target, int length, Done done) {
    ByteBuf copy = PooledByteBufAllocator.DEFAULT.directBuffer(Math.max(1, length));
    read(
        offset,
        copy,
        length,
        error -> {
          if (error == null) {
            target.writeBytes(copy, 0, length);
          }
          copy.release();
          done.done(error);
        });
  }

  /** Reads what the page cache has from the start of the range on; returns how much that is. */
  private int readHere(long offset, long address, int length) throws ErrnoException {
    int progress = 0;
    while (tryReads && !closed && progress < length && length <= MAX_INLINE_BYTES) {
      int count = file.tryRead(offset + progress, address + progress, length - progress);
      tryReads = count != PosixFile.UNSUPPORTED;
      if (count <= 0) {
        break; // the blocking read will wait, or find the end of the file and say so
      }
      progress += count;
    }
    return progress;
  }

  @Override
  public FileRegion cached(long offset, int length, int socket) {
    checkRange(offset, length);
    boolean mayBeSent = socket >= 0 && length <= MAX_INLINE_BYTES && trySends && !closed;
    if (!mayBeSent || !resident.has(offset, length)) {
      return null;
    }
    underWay++;
    return new CachedRegion(file, socket, offset, length, sending);
  }

  @Override
  public void write(long offset, ByteBuf source, Done done) {
    int length = source.readableBytes();
    checkRange(offset, length);
    if (source.hasMemoryAddress()) {
      writeFrom(offset, source.memoryAddress() + source.readerIndex(), length, done);
      return;
    }
    ByteBuf copy = PooledByteBufAllocator.DEFAULT.directBuffer(Math.max(1, length));
    copy.writeBytes(source, source.readerIndex(), length);
    writeFrom(
        offset,
        addressOf(copy, length),
        length,
        error -> {
          copy.release();
          done.done(error);
        });
  }

  private void writeFrom(long offset, long address, int length, Done done) {
    if (closed) {
      done.done(closedError());
    } else {
      writer.write(offset, address, length, done);
    }
  }

  /** What the writes need from here. */
  private final class Writing implements FileWriter.Host {
    @Override
    public boolean isBusy() {
      return inTheWay > 0;
    }

    @Override
    public void began() {
      underWay++;
    }

    @Override
    public void ended(Done done, IOException error) {
      finish(error, outcome -> finishChange(outcome, done));
    }

    @Override
    public void made(Done done, IOException error) {
      finishChange(error, done);
    }
  }

  /** What sent ranges need from here. */
  private final class Sending implements CachedRegion.Host {
    @Override
    public void unsupported() {
      trySends = false;
    }

    @Override
    public void released() {
      underWay--;
      closeIfIdle();
    }
  }

  private void checkRange(long offset, long length) {
    Objects.checkFromToIndex(offset, offset + length, size);
  }

  private static long addressOf(ByteBuf buffer, int length) {
    return Pointer.nativeValue(Native.getDirectBufferPointer(buffer.nioBuffer(0, length)));
  }

  @Override
  public void zero(long offset, long length, boolean punch, Done done) {
    checkRange(offset, length);
    if (length == 0) {
      done.done(closed ? closedError() : null);
      return;
    }
    inTheWay++;
    submit(
        () -> {
          if (punch) {
            ZeroRange.punch(file, offset, length);
          } else {
            ZeroRange.allocate(file, offset, length);
          }
        },
        error -> {
          inTheWay--;
          finishChange(error, done);
        });
  }

  /**
   * A change that failed for want of space can be repeated. After any other failure the kernel may
   * have dropped pages that were written before, so no later force proves anything.
   */
  private void finishChange(IOException error, Done done) {
    boolean harmless = error instanceof ErrnoException e && e.noSpace();
    if (error != null && !harmless && !closed && poison == null) {
      poison(error);
    }
    done.done(error);
  }

  @Override
  public void force(Done done) {
    if (poison != null || closed) {
      done.done(poison != null ? poisonedError() : closedError());
      return;
    }
    waitingForForce.add(done);
    if (!forcing) {
      startForce();
    }
  }

  /** One force for all who wait now; who asks later waits for the next, as this one may be past. */
  private void startForce() {
    List<Done> batch = waitingForForce;
    waitingForForce = new ArrayList<>();
    forcing = true;
    inTheWay++;
    submit(file::fdatasync, error -> finishForce(batch, error));
  }

  private void finishForce(List<Done> batch, IOException error) {
    forcing = false;
    inTheWay--;
    if (error != null && poison == null) {
      poison(error);
    }
    for (Done done : batch) {
      done.done(poison == null ? null : poisonedError());
    }
    if (waitingForForce.isEmpty() || forcing) {
      return;
    }
    if (poison == null && !closed) {
      startForce();
      return;
    }
    List<Done> hopeless = waitingForForce;
    waitingForForce = new ArrayList<>();
    for (Done done : hopeless) {
      done.done(poison != null ? poisonedError() : closedError());
    }
  }

  private void poison(IOException cause) {
    poison = cause;
    logger.error("{}: nothing can be made durable here any more", path, cause);
  }

  private IOException poisonedError() {
    return new IOException(
        path
            + " is poisoned since an earlier failure ("
            + poison.getMessage()
            + "): what was written can't be trusted to be on disk. Check the disk, then restart"
            + " the relay.",
        poison);
  }

  private IOException closedError() {
    return new IOException(path + " is closed");
  }

  @Override
  public void extents(long offset, long length, ExtentVisitor visitor, Done done) {
    checkRange(offset, length);
    extents(offset, offset + length, FIRST_EXTENTS, visitor, done);
  }

  private void extents(long from, long end, int most, ExtentVisitor visitor, Done done) {
    List<Extents.Extent> found = new ArrayList<>();
    submit(
        () -> Extents.find(file, from, end, most, found),
        error -> {
          if (error != null) {
            done.done(error);
            return;
          }
          long next = end;
          for (Extents.Extent extent : found) {
            if (!visitor.extent(extent.offset(), extent.length(), extent.hole())) {
              done.done(null);
              return;
            }
            next = extent.offset() + extent.length();
          }
          if (next == end) {
            done.done(null);
          } else {
            extents(next, end, Math.min(2 * most, Extents.MAX_EXTENTS), visitor, done);
          }
        });
  }

  @Override
  public long allocated() {
    if (closed) {
      throw new UncheckedIOException(closedError());
    }
    try {
      return file.allocated();
    } catch (ErrnoException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** Closes the file after the operations under way; later ones fail. */
  @Override
  public void close() {
    if (!closed) {
      closed = true;
      closeIfIdle();
    }
  }

  private void closeIfIdle() {
    if (!closed || underWay > 0 || released) {
      return;
    }
    // Whoever is told of the last end may close: the descriptor may be another file's by then.
    released = true;
    resident.unmap();
    try {
      file.close();
    } catch (ErrnoException e) {
      logger.warn("{}", e.getMessage());
    }
  }

  /** Something that may wait for the disk. */
  private interface Work {
    void run() throws IOException;
  }

  private void submit(Work work, Done done) {
    if (closed) {
      done.done(closedError());
      return;
    }
    underWay++;
    try {
      io.execute(() -> deliver(run(work), done));
    } catch (RejectedExecutionException e) {
      finish(new IOException(path + ": the relay is stopping", e), done);
    }
  }

  private static IOException run(Work work) {
    try {
      work.run();
      return null;
    } catch (IOException e) {
      return e;
    } catch (RuntimeException e) {
      return new IOException("A bug in disk I/O: " + e, e);
    }
  }

  private void deliver(IOException error, Done done) {
    eventLoop.execute(() -> finish(error, done));
  }

  private void finish(IOException error, Done done) {
    underWay--;
    try {
      done.done(error);
    } finally {
      closeIfIdle();
    }
  }
}
