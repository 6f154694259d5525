// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.sim;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.Unpooled;
import io.vmferry.nbd.NbdClient;
import io.vmferry.nbd.NbdError;
import io.vmferry.nbd.NbdExportException;
import io.vmferry.nbd.NbdSession;
import io.vmferry.relay.volume.Volume;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.random.RandomGenerator;

/**
 * A guest that writes numbered sectors and checks each it reads: a sector may hold the last value
 * that was acknowledged before the read began, or one that was being written meanwhile; nothing
 * else.
 *
 * <p>Like QEMU it sends again what it got no answer for when its relay comes back.
 */
final class SimGuest {
  static final int SECTOR = 512;
  private static final int MAX_SECTORS = 64;
  private static final int IN_FLIGHT = 8;

  private final RandomGenerator random;
  private final int sectors;

  /** Values that a read may see now, per sector. */
  private final List<Set<Long>> allowed = new ArrayList<>();

  /** Values that may be there after a power loss: those since the last flush, per sector. */
  private final List<Set<Long>> durable = new ArrayList<>();

  private final List<Op> inFlight = new ArrayList<>();
  private long lastValue;
  private NbdSession session;
  private boolean stopped;
  private long done;

  SimGuest(int sectors, RandomGenerator random) {
    this.sectors = sectors;
    this.random = random;
    for (int i = 0; i < sectors; i++) {
      allowed.add(new HashSet<>(Set.of(0L)));
      durable.add(new HashSet<>(Set.of(0L)));
    }
  }

  /** Operations that were answered. */
  long done() {
    return done;
  }

  int inFlight() {
    return inFlight.size();
  }

  /** Opens the volume, and sends again what had no answer. */
  void connect(Volume volume, int pid) throws NbdExportException {
    session = volume.open(new NbdClient(pid, pid, 0));
    List.copyOf(inFlight).forEach(Op::send);
  }

  /** Leaves the volume; the caller ends the session when the process at the source ends. */
  NbdSession leave() {
    NbdSession old = session;
    session = null;
    return old;
  }

  /** The relay died: nobody is told. */
  void lose() {
    session = null;
  }

  /** The host lost its power; what is started again knows nothing of what was under way. */
  void die() {
    session = null;
    inFlight.clear();
    for (int i = 0; i < sectors; i++) {
      allowed.set(i, new HashSet<>(durable.get(i)));
    }
  }

  boolean connected() {
    return session != null;
  }

  void stop() {
    stopped = true;
  }

  /** As QEMU does when it has stopped a guest. */
  void flush() {
    Op op = new Op(Kind.FLUSH, 0, 0);
    inFlight.add(op);
    op.send();
  }

  void resume() {
    stopped = false;
    fill();
  }

  /** Keeps requests in flight. */
  void fill() {
    while (!stopped && session != null && inFlight.size() < IN_FLIGHT) {
      Op op = new Op();
      inFlight.add(op);
      op.send();
    }
  }

  /** Reads everything, in order, then {@code then}. */
  void readAll(Runnable then) {
    readFrom(0, then);
  }

  private void readFrom(int first, Runnable then) {
    if (first == sectors) {
      then.run();
      return;
    }
    Op op = new Op(Kind.READ, first, Math.min(MAX_SECTORS, sectors - first));
    op.then = () -> readFrom(first + op.count, then);
    inFlight.add(op);
    op.send();
  }

  @Override
  public String toString() {
    return "guest: connected=" + connected() + " stopped=" + stopped + " waits for " + inFlight;
  }

  private enum Kind {
    READ,
    WRITE,
    ZERO,
    TRIM,
    FLUSH
  }

  /** One request. */
  private final class Op implements NbdSession.ReadReply {
    private final Kind kind;
    private final int first;
    private final int count;
    private final long value;
    private final List<Set<Long>> seenAllowed = new ArrayList<>();
    private final boolean fua = random.nextInt(8) == 0;
    private final Map<Integer, Set<Long>> atFlush = new HashMap<>();
    private Runnable then = SimGuest.this::fill;
    private ByteBuf buffer;

    Op() {
      this(
          switch (random.nextInt(16)) {
            case 0 -> Kind.FLUSH;
            case 1 -> Kind.ZERO;
            case 2 -> Kind.TRIM;
            case 3, 4, 5, 6, 7, 8 -> Kind.READ;
            default -> Kind.WRITE;
          },
          random.nextInt(sectors),
          1 + random.nextInt(random.nextBoolean() ? 8 : MAX_SECTORS));
    }

    Op(Kind kind, int first, int count) {
      this.kind = kind;
      // Two writes of one sector at a time may end in any order; the check needs to know which.
      int free = 0;
      while (first + free < sectors && free < count && (kind == Kind.READ || !busy(first + free))) {
        free++;
      }
      this.first = first;
      this.count = free;
      lastValue++;
      this.value = kind == Kind.ZERO || kind == Kind.TRIM ? 0 : lastValue;
      for (int i = 0; i < free; i++) {
        Set<Long> values = allowed.get(first + i);
        if (kind == Kind.READ) {
          seenAllowed.add(new HashSet<>(values));
        } else if (!isFlush()) {
          values.add(value);
          durable.get(first + i).add(value);
          int sector = first + i;
          inFlight.forEach(other -> other.concurrentWrite(sector, value));
        }
      }
    }

    private boolean isFlush() {
      return kind == Kind.FLUSH || count == 0;
    }

    private boolean busy(int sector) {
      return inFlight.stream()
          .anyMatch(
              op ->
                  op.kind != Kind.READ
                      && op.kind != Kind.FLUSH
                      && sector >= op.first
                      && sector < op.first + op.count);
    }

    private void concurrentWrite(int sector, long newValue) {
      if (isFlush() && !atFlush.isEmpty()) {
        atFlush.get(sector).add(newValue);
      }
      if (kind == Kind.READ && sector >= first && sector < first + count) {
        seenAllowed.get(sector - first).add(newValue);
      }
    }

    void send() {
      long offset = (long) first * SECTOR;
      long length = (long) count * SECTOR;
      if (isFlush()) {
        for (int i = 0; i < sectors; i++) {
          atFlush.put(i, new HashSet<>(allowed.get(i)));
        }
        session.flush(this);
        return;
      }
      switch (kind) {
        case READ -> {
          buffer = Unpooled.buffer((int) length);
          session.read(offset, (int) length, this);
        }
        case WRITE -> session.write(offset, data(), fua, this);
        case ZERO -> session.writeZeroes(offset, length, fua, false, fua, this);
        case TRIM -> session.trim(offset, length, fua, this);
        case FLUSH -> throw new AssertionError();
      }
    }

    private ByteBuf data() {
      ByteBuf data = Unpooled.buffer(count * SECTOR);
      while (data.readableBytes() < count * SECTOR) {
        data.writeLong(value);
      }
      return data;
    }

    @Override
    public String toString() {
      return kind + " " + first + "+" + count;
    }

    @Override
    public ByteBuf buffer() {
      return buffer;
    }

    @Override
    public void success() {
      if (!inFlight.remove(this)) {
        throw new AssertionError("answered twice, or after the connection was lost: " + kind);
      }
      done++;
      if (isFlush()) {
        // What may be there now: as it was when the flush was sent, or written since.
        atFlush.forEach((sector, values) -> durable.get(sector).retainAll(values));
      }
      for (int i = 0; i < count && kind != Kind.FLUSH; i++) {
        if (kind == Kind.READ) {
          check(i);
        } else if (kind == Kind.TRIM) {
          // Undefined until written again: here zero, or as before.
          allowed.get(first + i).add(0L);
        } else {
          allowed.get(first + i).clear();
          allowed.get(first + i).add(value);
          if (fua) {
            durable.get(first + i).retainAll(Set.of(value));
          }
        }
      }
      then.run();
    }

    private void check(int i) {
      for (int at = i * SECTOR; at < (i + 1) * SECTOR; at += Long.BYTES) {
        long seen = buffer.getLong(at);
        if (!seenAllowed.get(i).contains(seen)) {
          throw new AssertionError(
              "sector "
                  + (first + i)
                  + " holds "
                  + seen
                  + " where only "
                  + seenAllowed.get(i)
                  + " may be");
        }
      }
    }

    @Override
    public void fail(NbdError error, String why) {
      if (why.equals("the connection is gone")) {
        return;
      }
      throw new AssertionError(kind + " failed: " + error + " " + why);
    }
  }
}
