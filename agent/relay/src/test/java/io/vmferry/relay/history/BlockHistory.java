// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.history;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;

/**
 * What a guest asked of its disk and what it was answered, and whether a disk could have answered
 * so. The history goes on over handovers, roll-backs and restarts: the guest sees one disk.
 *
 * <p>Each written sector has a value of its own, so a read names the write that it saw, and each
 * sector can be judged alone, as the answers come:
 *
 * <ol>
 *   <li>What is read was there from the start, or was asked for before the read was answered.
 *   <li>It was not overwritten: no write that began after it had ended, and that had itself ended
 *       before the read began.
 *   <li>It doesn't go back: what one read saw has happened, and comes after all that had happened
 *       before that read; a later read must agree.
 *   <li>A write that was refused never shows. One whose outcome is unknown (an I/O error, a lost
 *       connection) may show at any time, until rule 2 or 3 excludes it.
 *   <li>A write of several sectors may be seen in parts while it is under way, not after its end:
 *       rule 2 for each sector.
 *   <li>A power loss may undo what no flush and no FUA has made durable, and nothing else. The end
 *       of a process, relay or QEMU, undoes nothing.
 *   <li>A trimmed sector holds zeroes or what it held before.
 * </ol>
 *
 * <p>Zeroes are not unique. A read of zeroes that has more than one explanation is legal and proves
 * nothing more, which can miss an error but never invents one. Not thread-safe.
 */
public final class BlockHistory {

  /** What a guest can ask for. */
  public enum Kind {
    READ,
    WRITE,
    ZERO,
    TRIM,
    FLUSH
  }

  /** The moment of what has not happened yet, and perhaps never will. */
  private static final long NEVER = Long.MAX_VALUE;

  /** One request. */
  public static final class Op {
    private final Kind kind;
    private final int first;
    private final int count;
    private final long value;
    private final boolean fua;
    private final long invoked;
    private long ended = NEVER;
    private boolean durable;

    private Op(Kind kind, int first, int count, long value, boolean fua, long invoked) {
      this.kind = kind;
      this.first = first;
      this.count = count;
      this.value = value;
      this.fua = fua;
      this.invoked = invoked;
    }

    private boolean changes() {
      return kind == Kind.WRITE || kind == Kind.ZERO || kind == Kind.TRIM;
    }

    @Override
    public String toString() {
      return kind
          + (kind == Kind.FLUSH ? "" : " " + first + "+" + count)
          + (kind == Kind.WRITE ? "=" + value : "")
          + (fua ? " FUA" : "");
    }
  }

  /** One write, as one sector sees it. */
  private static final class Version {
    private final Op op;

    /** When a read first proved that it has happened. */
    private long seen = NEVER;

    /** What happened before it though the times don't say so: reads do. */
    private final Set<Version> before = new HashSet<>();

    Version(Op op) {
      this.op = op;
    }

    /** After this moment it can't happen any more. */
    long settled() {
      return Math.min(op.ended, seen);
    }

    /** From when on it has certainly happened. A trim need not happen at all. */
    long happened() {
      return op.kind == Kind.TRIM ? seen : settled();
    }
  }

  private final List<List<Version>> sectors = new ArrayList<>();
  private final Set<Op> open = new HashSet<>();

  /** Writes that have ended and are not durable. */
  private final Set<Op> undurable = new HashSet<>();

  private long clock;
  private long operations;

  /** A disk whose sectors hold {@code initial}, durably. */
  public BlockHistory(long... initial) {
    for (int sector = 0; sector < initial.length; sector++) {
      Op op = new Op(Kind.WRITE, sector, 1, initial[sector], false, clock);
      op.ended = clock;
      op.durable = true;
      sectors.add(new ArrayList<>(List.of(new Version(op))));
    }
  }

  /** Requests that were answered. */
  public long operations() {
    return operations;
  }

  /**
   * The guest sends a request.
   *
   * @param first sector; 0 for a flush
   * @param count sectors; 0 for a flush
   * @param value of a WRITE, never used before and not 0
   * @param fua its answer says that it is durable
   */
  public Op invoke(Kind kind, int first, int count, long value, boolean fua) {
    clock++;
    Op op = new Op(kind, first, count, kind == Kind.WRITE ? value : 0, fua, clock);
    open.add(op);
    if (op.changes()) {
      for (int sector = first; sector < first + count; sector++) {
        sectors.get(sector).add(new Version(op));
      }
    }
    return op;
  }

  /** The guest got the answer that its write, zero, trim or flush was carried out. */
  public void ok(Op op) {
    end(op);
    if (op.kind == Kind.FLUSH) {
      undurable.removeIf(
          write -> {
            write.durable |= write.ended < op.invoked;
            return write.durable;
          });
    } else if (op.kind == Kind.WRITE || op.kind == Kind.ZERO) {
      op.durable = op.fua;
      if (!op.fua) {
        undurable.add(op);
      }
    }
    if (op.changes()) {
      for (int sector = op.first; sector < op.first + op.count; sector++) {
        forgetImpossible(sector);
      }
    }
  }

  /**
   * The guest got the content it asked for.
   *
   * @param seen one value per sector
   * @throws AssertionError if no disk could have answered so
   */
  public void ok(Op read, long... seen) {
    end(read);
    for (int i = 0; i < read.count; i++) {
      saw(read, read.first + i, seen[i]);
    }
  }

  /** The guest got an error that says that nothing was changed. */
  public void refused(Op op) {
    end(op);
    if (op.changes()) {
      for (int sector = op.first; sector < op.first + op.count; sector++) {
        sectors.get(sector).removeIf(version -> version.op == op);
      }
    }
  }

  /** The outcome will never be known: an I/O error, or the connection is gone for good. */
  public void unknown(Op op) {
    if (!open.remove(op)) {
      throw new IllegalStateException(op + " has ended before");
    }
  }

  /**
   * The guest's host lost its power: what is under way has no outcome, and unforced may be gone.
   */
  public void powerLoss() {
    clock++;
    open.clear();
    undurable.clear();
    for (List<Version> versions : sectors) {
      List<Version> possible = new ArrayList<>();
      for (Version version : versions) {
        if (survivesPowerLoss(versions, version)) {
          // One of these is on the disk; nothing else is known about their order any more.
          Op found = new Op(Kind.WRITE, 0, 1, version.op.value, false, clock);
          found.ended = clock;
          found.durable = true;
          possible.add(new Version(found));
        }
      }
      versions.clear();
      versions.addAll(possible);
    }
  }

  /** Whether a read that began now could find this value in the sector. */
  public boolean mayHold(int sector, long value) {
    return !explanations(sectors.get(sector), value, clock + 1).isEmpty();
  }

  /** Whether the sector could hold this value if the power failed now. */
  public boolean mayHoldAfterPowerLoss(int sector, long value) {
    List<Version> versions = sectors.get(sector);
    return versions.stream()
        .anyMatch(version -> version.op.value == value && survivesPowerLoss(versions, version));
  }

  /** The values that a read that began now could find, for messages. */
  public Set<Long> possible(int sector) {
    Set<Long> values = new TreeSet<>();
    List<Version> versions = sectors.get(sector);
    for (Version version : versions) {
      if (!overwritten(versions, version, clock + 1)) {
        values.add(version.op.value);
      }
    }
    return values;
  }

  /** The values that the sector could hold if the power failed now, for messages. */
  public Set<Long> possibleAfterPowerLoss(int sector) {
    Set<Long> values = new TreeSet<>();
    List<Version> versions = sectors.get(sector);
    for (Version version : versions) {
      if (survivesPowerLoss(versions, version)) {
        values.add(version.op.value);
      }
    }
    return values;
  }

  private void end(Op op) {
    if (!open.remove(op)) {
      throw new AssertionError(op + " was answered twice, or after its connection was lost");
    }
    clock++;
    op.ended = clock;
    operations++;
  }

  private void saw(Op read, int sector, long value) {
    List<Version> versions = sectors.get(sector);
    List<Version> explanations = explanations(versions, value, read.invoked);
    if (explanations.isEmpty()) {
      throw new AssertionError(
          read
              + ": sector "
              + sector
              + " holds "
              + value
              + " where only "
              + possible(sector)
              + " may be");
    }
    if (explanations.size() > 1) {
      return;
    }
    Version found = explanations.get(0);
    found.seen = Math.min(found.seen, read.ended);
    for (Version version : versions) {
      if (version != found && version.happened() < read.invoked && !precedes(version, found)) {
        found.before.add(version);
      }
    }
    forgetImpossible(sector);
  }

  /** The versions with this value that a read invoked at {@code invoked} may see. */
  private static List<Version> explanations(List<Version> versions, long value, long invoked) {
    List<Version> found = new ArrayList<>();
    for (Version version : versions) {
      if (version.op.value == value && !overwritten(versions, version, invoked)) {
        found.add(version);
      }
    }
    return found;
  }

  /** Whether something that comes after {@code version} had happened at {@code moment}. */
  private static boolean overwritten(List<Version> versions, Version version, long moment) {
    for (Version other : versions) {
      if (other != version && other.happened() < moment && precedes(version, other)) {
        return true;
      }
    }
    return false;
  }

  private static boolean survivesPowerLoss(List<Version> versions, Version version) {
    for (Version other : versions) {
      if (other != version && other.op.durable && precedes(version, other)) {
        return false;
      }
    }
    return true;
  }

  /** By the times, or by what reads have shown, directly or through others. */
  private static boolean precedes(Version earlier, Version later) {
    if (earlier.settled() < later.op.invoked) {
      return true;
    }
    for (Version between : later.before) {
      if (between == earlier || precedes(earlier, between)) {
        return true;
      }
    }
    return false;
  }

  /** Drops what no read, now or later, and no power loss can bring to light: keeps lists short. */
  private void forgetImpossible(int sector) {
    List<Version> versions = sectors.get(sector);
    if (versions.size() == 1) {
      return;
    }
    long oldestRead = clock;
    for (Op op : open) {
      if (op.kind == Kind.READ) {
        oldestRead = Math.min(oldestRead, op.invoked);
      }
    }
    long moment = oldestRead;
    versions.removeIf(
        version -> overwritten(versions, version, moment) && !survivesPowerLoss(versions, version));
    // What came before a dropped one was dropped with it, so no order is lost.
    versions.forEach(version -> version.before.retainAll(versions));
  }
}
