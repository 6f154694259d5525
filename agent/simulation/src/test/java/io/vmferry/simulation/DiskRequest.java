// SPDX-License-Identifier: Apache-2.0
package io.vmferry.simulation;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.Unpooled;
import io.vmferry.nbd.NbdError;
import io.vmferry.nbd.NbdSession;
import io.vmferry.relay.history.BlockHistory;
import io.vmferry.relay.history.BlockHistory.Kind;

/** One request of a QEMU: sent again after each lost connection, answered once. */
final class DiskRequest implements NbdSession.ReadReply {
  private final World world;
  private final QemuDisk disk;
  private final Kind kind;
  private final int first;
  private final int count;
  private final long value;
  private final boolean fua;
  private final boolean counts;
  private final Runnable answered;
  private BlockHistory.Op op;
  private ByteBuf buffer;

  /**
   * @param kind a write, zero or trim is cut where another one is under way, maybe to nothing
   * @param answered what to do then
   */
  DiskRequest(
      World world, QemuDisk disk, Kind kind, int first, int count, boolean fua, Runnable answered) {
    this(world, disk, kind, first, count, fua, true, answered);
  }

  /** The flush of a QEMU that is about to end: it says nothing of what others wrote meanwhile. */
  static DiskRequest farewell(World world, QemuDisk disk) {
    return new DiskRequest(world, disk, Kind.FLUSH, 0, 0, false, false, () -> {});
  }

  private DiskRequest(
      World world,
      QemuDisk disk,
      Kind kind,
      int first,
      int count,
      boolean fua,
      boolean counts,
      Runnable answered) {
    this.world = world;
    this.counts = counts;
    this.disk = disk;
    this.first = first;
    int free = 0;
    if (kind != Kind.FLUSH) {
      while (first + free < disk.content().sectors()
          && free < count
          && (kind == Kind.READ || !disk.content().busy(first + free))) {
        free++;
      }
    }
    this.kind = free == 0 ? Kind.FLUSH : kind;
    this.count = free;
    this.fua = fua && kind != Kind.READ;
    this.value = disk.content().nextValue();
    this.answered = answered;
    askedAgain();
    disk.content().opened(this);
  }

  /** The history begins anew for it. */
  void askedAgain() {
    op =
        kind == Kind.FLUSH
            ? disk.content().history().invoke(kind, 0, 0, 0, false)
            : disk.content().history().invoke(kind, first, count, value, fua);
  }

  boolean isFlush() {
    return kind == Kind.FLUSH;
  }

  private boolean changes() {
    return kind == Kind.WRITE || kind == Kind.ZERO || kind == Kind.TRIM;
  }

  /** Whether it may change the sector. */
  boolean changes(int sector) {
    return changes() && sector >= first && sector < first + count;
  }

  void send(NbdSession session) {
    long offset = (long) first * GuestDisk.SECTOR;
    int length = count * GuestDisk.SECTOR;
    switch (kind) {
      case READ -> {
        buffer = Unpooled.buffer(length);
        session.read(offset, length, this);
      }
      case WRITE -> session.write(offset, data(length), fua, this);
      case ZERO -> session.writeZeroes(offset, length, fua, false, fua, this);
      case TRIM -> session.trim(offset, length, fua, this);
      case FLUSH -> session.flush(this);
    }
  }

  private ByteBuf data(int length) {
    ByteBuf data = Unpooled.buffer(length);
    while (data.readableBytes() < length) {
      data.writeLong(value);
    }
    return data;
  }

  /** Its QEMU is gone: whether it was carried out will never be known. */
  void abandon() {
    disk.content().closed(this);
    disk.content().history().unknown(op);
  }

  @Override
  public ByteBuf buffer() {
    return buffer;
  }

  @Override
  public void success() {
    if (!disk.answered(this)) {
      throw world.violation(this + " was answered twice, or after its connection was lost");
    }
    disk.content().closed(this);
    if (kind == Kind.READ) {
      judge(content());
    } else if (counts) {
      disk.content().history().ok(op);
    } else {
      disk.content().history().unknown(op);
    }
    if (changes()) {
      world.checkOwner(disk);
      disk.content().changedBy(disk.qemu());
    }
    world.trace().mix(op.toString().hashCode());
    answered.run();
  }

  private void judge(long[] content) {
    try {
      disk.content().history().ok(op, content);
    } catch (AssertionError e) {
      throw world.violation("volume " + disk.content().volume() + ": " + e.getMessage());
    }
  }

  private long[] content() {
    long[] content = new long[count];
    for (int i = 0; i < count; i++) {
      content[i] = buffer.getLong(i * GuestDisk.SECTOR);
      for (int at = i * GuestDisk.SECTOR; at < (i + 1) * GuestDisk.SECTOR; at += Long.BYTES) {
        if (buffer.getLong(at) != content[i]) {
          throw world.violation(
              this + ": sector " + (first + i) + " is torn at byte " + at % GuestDisk.SECTOR);
        }
      }
      world.trace().mix(content[i]);
    }
    return content;
  }

  @Override
  public void fail(NbdError error, String why) {
    // The end of a connection is no answer; everything else a guest would see as an I/O error.
    if (disk.isWaiting(this)) {
      throw world.violation(this + " failed: " + error + " " + why);
    }
  }

  @Override
  public String toString() {
    return disk + " " + kind + (isFlush() ? "" : " " + first + "+" + count);
  }
}
