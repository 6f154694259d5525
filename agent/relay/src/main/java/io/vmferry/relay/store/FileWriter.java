// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.store;

import java.io.IOException;
import java.util.concurrent.Executor;
import java.util.function.LongSupplier;

/**
 * Where the writes of one file are made: on the loop if they won't wait, otherwise on a disk thread
 * ({@link WriteLane}). Some file systems say which is which; {@link InlineWrites} decides for the
 * others.
 *
 * <p>A large write on the loop is made in two parts, and the loop reads its sockets between them. A
 * guest's socket holds less than one such write (208 KiB is the kernel's default), so the guest
 * would sleep until all of this one is made, and the loop would then wait for the guest to wake up.
 *
 * <p>Loop only.
 */
final class FileWriter {

  /** Bytes; what is smaller is made sooner than a guest wakes up. */
  static final int LARGE = 128 << 10;

  /** Bytes; the parts of a write of whole pages are such writes, too. */
  private static final int PAGE = 4096;

  /** What the writer needs from its file. */
  interface Host {
    /** Whether something is under way that a write would wait for inside the file system. */
    boolean isBusy();

    /** A write goes on after the call; the descriptor must stay open until it has ended. */
    void began();

    /** A write that began is over. */
    void ended(BlockFile.Done done, IOException error);

    /** A write was over before the call returned. */
    void made(BlockFile.Done done, IOException error);
  }

  private final PosixFile file;
  private final Executor eventLoop;
  private final LongSupplier nanoTime;
  private final Host host;
  private final InlineWrites inline = new InlineWrites();
  private final WriteLane lane;

  /** Whether the file system says if a write would wait. */
  private boolean askable = true;

  /** Parameters as in {@link DiskBlockFile}. */
  FileWriter(PosixFile file, Executor eventLoop, Executor io, LongSupplier nanoTime, Host host) {
    this.file = file;
    this.eventLoop = eventLoop;
    this.nanoTime = nanoTime;
    this.host = host;
    this.lane = new WriteLane(file, eventLoop, io, nanoTime, this::written);
  }

  /** Writes {@code length} bytes that stay where they are until {@code done}. */
  void write(long offset, long address, int length, BlockFile.Done done) {
    int first = length < LARGE ? length : length / 2 & -PAGE;
    int made = 0;
    IOException failure = null;
    try {
      made = length <= DiskBlockFile.MAX_INLINE_BYTES ? writeHere(offset, address, first) : 0;
    } catch (ErrnoException e) {
      failure = e;
    }
    if (failure != null || made == length) {
      host.made(done, failure);
      return;
    }
    host.began();
    long from = offset + made;
    long rest = address + made;
    int left = length - made;
    if (made == first) {
      eventLoop.execute(() -> writeRest(from, rest, left, done));
    } else {
      lane.write(from, rest, left, done);
    }
  }

  private void writeRest(long offset, long address, int length, BlockFile.Done done) {
    int made;
    try {
      made = writeHere(offset, address, length);
    } catch (ErrnoException e) {
      host.ended(done, e);
      return;
    }
    if (made == length) {
      host.ended(done, null);
    } else {
      lane.write(offset + made, address + made, length - made, done);
    }
  }

  /** Writes from the start of the range on what won't wait; returns how much that is. */
  private int writeHere(long offset, long address, int length) throws ErrnoException {
    int progress = 0;
    while (askable && progress < length) {
      int count = file.tryWrite(offset + progress, address + progress, length - progress);
      askable = count != PosixFile.UNSUPPORTED;
      if (count <= 0) {
        break;
      }
      progress += count;
    }
    if (askable || progress > 0 || !mayWriteHere(offset, length)) {
      return progress;
    }
    long began = nanoTime.getAsLong();
    try {
      file.write(offset, address, length);
    } finally {
      inline.madeHere(began, nanoTime.getAsLong());
    }
    return length;
  }

  /** Never behind something that takes its time. */
  private boolean mayWriteHere(long offset, int length) {
    return !host.isBusy() && lane.isIdle() && inline.allowed(offset, length, nanoTime.getAsLong());
  }

  /** The lane has made a write. */
  private void written(BlockFile.Done done, IOException error, long nanos) {
    inline.madeElsewhere(nanos, nanoTime.getAsLong());
    host.ended(done, error);
  }
}
