// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.store;

import io.netty.buffer.ByteBuf;
import io.netty.channel.FileRegion;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.BitSet;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;

/**
 * A data file in memory that keeps only what was forced. Operations take effect at once, or, while
 * held back, when the test releases them, in any order it likes. Not thread-safe: one event loop.
 */
public final class MemoryBlockFile implements BlockFile {

  /** The operations that can be held back, and fail. */
  public enum Kind {
    READ,
    WRITE,
    ZERO,
    FORCE,
    EXTENTS
  }

  /** An entry of the log. Length is 0 for a force. */
  public record Operation(Kind kind, long offset, long length) {}

  private static final int PAGE = 4096;

  /** A change that no force has covered. */
  @SuppressWarnings("ArrayRecordComponent") // handed over, never compared
  private record Change(int number, int at, byte[] bytes) {}

  /** An operation that waits for its release. */
  private record Held(Operation operation, Runnable effect) {}

  private final List<Operation> log = new ArrayList<>();
  private final List<Held> held = new ArrayList<>();
  private final List<Change> unforced = new ArrayList<>();
  private final Map<Kind, IOException> failures = new EnumMap<>(Kind.class);
  private final BitSet allocated = new BitSet();
  private byte[] durable;
  private byte[] cached;
  private int changes;
  private boolean holding;
  private boolean full;
  private boolean closed;
  private IOException poison;
  private Runnable watcher;

  /** A file of zeroes. */
  public MemoryBlockFile(int size) {
    durable = new byte[size];
    cached = new byte[size];
  }

  /** As the other is now, with nothing under way. */
  public MemoryBlockFile(MemoryBlockFile other) {
    durable = other.durable.clone();
    cached = other.cached.clone();
    unforced.addAll(other.unforced);
    allocated.or(other.allocated);
    changes = other.changes;
  }

  /** Calls {@code newWatcher} before each change and each force, and in the middle of a change. */
  public void watch(Runnable newWatcher) {
    watcher = newWatcher;
  }

  /** From now on operations wait for {@link #release}. */
  public void hold() {
    holding = true;
  }

  /** Releases what is held and holds nothing more. */
  public void flow() {
    holding = false;
    while (!held.isEmpty()) {
      release(0);
    }
  }

  /** The operations that wait, oldest first. */
  public List<Operation> held() {
    return held.stream().map(Held::operation).toList();
  }

  /** Lets the waiting operation at {@code index} happen, and calls back. */
  public void release(int index) {
    held.remove(index).effect().run();
  }

  /** The next operation of this kind fails. */
  public void failNext(Kind kind, IOException error) {
    failures.put(kind, error);
  }

  /** Whether the disk is full: then nothing is written where nothing is allocated. */
  public void setFull(boolean newFull) {
    full = newFull;
  }

  private boolean findsNoSpace(long offset, long length) {
    int end = (int) ((offset + length - 1) / PAGE) + 1;
    return full && length > 0 && allocated.nextClearBit((int) (offset / PAGE)) < end;
  }

  /** All operations so far, in the order of the calls. */
  public List<Operation> log() {
    return log;
  }

  /** What a read would give now. */
  public byte[] content() {
    return cached.clone();
  }

  /** Changes that a power loss might undo now. */
  public int unforced() {
    return unforced.size();
  }

  /** A fingerprint of the content and of what a power loss might make of it. */
  public long image() {
    long hash = ImageHash.mix(ImageHash.of(durable), ImageHash.of(cached));
    for (Change change : unforced) {
      hash = ImageHash.mix(ImageHash.mix(hash, change.at()), ImageHash.of(change.bytes()));
    }
    return hash;
  }

  /** Power loss: what waits never happens, nobody is called back; open again afterwards. */
  public void crash(LossModel loss) {
    for (int i = 0; i < unforced.size(); i++) {
      keep(unforced.get(i), loss.fate(i));
    }
    unforced.clear();
    held.clear();
    cached = durable.clone();
    allocateContent();
    failures.clear();
    poison = null;
    closed = false;
    holding = false;
  }

  /** What a punched page held may be back: no file system calls that a hole. */
  private void allocateContent() {
    for (int at = 0; at < cached.length; at++) {
      if (cached[at] != 0) {
        allocated.set(at / PAGE);
        at |= PAGE - 1;
      }
    }
  }

  private void keep(Change change, LossModel.Fate fate) {
    int end = change.at() + change.bytes().length;
    int middle = (change.at() + end) / 2 / LossModel.SECTOR_BYTES * LossModel.SECTOR_BYTES;
    middle = Math.max(change.at(), middle);
    int from = fate == LossModel.Fate.TORN_TAIL ? middle : change.at();
    int to = fate == LossModel.Fate.TORN_HEAD ? middle : end;
    if (fate != LossModel.Fate.LOST) {
      System.arraycopy(change.bytes(), from - change.at(), durable, from, to - from);
    }
  }

  private void submit(Operation operation, Done done, Runnable effect) {
    Objects.checkFromToIndex(
        operation.offset(), operation.offset() + operation.length(), cached.length);
    log.add(operation);
    IOException failure = closed ? new IOException("closed") : failures.remove(operation.kind());
    Runnable whole =
        () -> {
          if (failure == null) {
            effect.run();
            return;
          }
          boolean harmless = failure instanceof ErrnoException e && e.noSpace();
          if (!harmless && !closed && operation.kind() != Kind.READ) {
            poison = failure;
          }
          done.done(failure);
        };
    if (holding) {
      held.add(new Held(operation, whole));
    } else {
      whole.run();
    }
  }

  private void change(long offset, byte[] bytes) {
    int half = bytes.length / 2 / LossModel.SECTOR_BYTES * LossModel.SECTOR_BYTES;
    if (watcher != null && half > 0) {
      watcher.run();
      apply(offset, Arrays.copyOf(bytes, half));
      watcher.run();
      apply(offset + half, Arrays.copyOfRange(bytes, half, bytes.length));
    } else {
      if (watcher != null) {
        watcher.run();
      }
      apply(offset, bytes);
    }
  }

  private void apply(long offset, byte[] bytes) {
    System.arraycopy(bytes, 0, cached, (int) offset, bytes.length);
    unforced.add(new Change(changes++, (int) offset, bytes));
  }

  @Override
  public long size() {
    return cached.length;
  }

  @Override
  public void grown(long newSize) {
    durable = Arrays.copyOf(durable, (int) newSize);
    cached = Arrays.copyOf(cached, (int) newSize);
  }

  @Override
  public FileRegion cached(long offset, int length, int socket) {
    return null;
  }

  @Override
  public void read(long offset, ByteBuf target, int length, Done done) {
    submit(
        new Operation(Kind.READ, offset, length),
        done,
        () -> {
          target.writeBytes(cached, (int) offset, length);
          done.done(null);
        });
  }

  @Override
  public void write(long offset, ByteBuf source, Done done) {
    int length = source.readableBytes();
    submit(
        new Operation(Kind.WRITE, offset, length),
        done,
        () -> {
          if (findsNoSpace(offset, length)) {
            done.done(DiskErrors.noSpace());
            return;
          }
          byte[] bytes = new byte[length];
          source.getBytes(source.readerIndex(), bytes);
          change(offset, bytes);
          if (length > 0) {
            allocated.set((int) (offset / PAGE), (int) ((offset + length - 1) / PAGE) + 1);
          }
          done.done(null);
        });
  }

  @Override
  public void zero(long offset, long length, boolean punch, Done done) {
    submit(
        new Operation(Kind.ZERO, offset, length),
        done,
        () -> {
          change(offset, new byte[(int) length]);
          int first = (int) ((offset + PAGE - 1) / PAGE);
          int last = (int) ((offset + length) / PAGE);
          if (punch && first < last) {
            allocated.clear(first, last);
          } else if (!punch && length > 0) {
            allocated.set((int) (offset / PAGE), (int) ((offset + length - 1) / PAGE) + 1);
          }
          done.done(null);
        });
  }

  @Override
  public void force(Done done) {
    int covered = changes;
    submit(
        new Operation(Kind.FORCE, 0, 0),
        error -> done.done(new IOException("poisoned", error)),
        () -> {
          if (poison != null) {
            done.done(new IOException("poisoned", poison));
            return;
          }
          if (watcher != null) {
            watcher.run();
          }
          for (Change change : unforced) {
            if (change.number() < covered) {
              keep(change, LossModel.Fate.KEPT);
            }
          }
          unforced.removeIf(change -> change.number() < covered);
          done.done(null);
        });
  }

  @Override
  public void extents(long offset, long length, ExtentVisitor visitor, Done done) {
    submit(
        new Operation(Kind.EXTENTS, offset, length),
        done,
        () -> {
          long at = offset;
          boolean more = true;
          while (more && at < offset + length) {
            int page = (int) (at / PAGE);
            boolean hole = !allocated.get(page);
            int next = hole ? allocated.nextSetBit(page) : allocated.nextClearBit(page);
            long end = Math.min(offset + length, next < 0 ? cached.length : (long) next * PAGE);
            more = visitor.extent(at, end - at, hole);
            at = end;
          }
          done.done(null);
        });
  }

  @Override
  public long allocated() {
    return (long) allocated.cardinality() * PAGE;
  }

  @Override
  public void close() {
    closed = true;
  }
}
