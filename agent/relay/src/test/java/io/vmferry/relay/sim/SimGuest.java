// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.sim;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.Unpooled;
import io.vmferry.nbd.NbdClient;
import io.vmferry.nbd.NbdError;
import io.vmferry.nbd.NbdExportException;
import io.vmferry.nbd.NbdSession;
import io.vmferry.relay.history.BlockHistory;
import io.vmferry.relay.history.BlockHistory.Kind;
import io.vmferry.relay.store.ImageHash;
import io.vmferry.relay.volume.Volume;
import java.util.ArrayList;
import java.util.List;
import java.util.random.RandomGenerator;

/**
 * A guest that writes numbered sectors and reads them: {@link BlockHistory} decides whether what it
 * reads is possible.
 *
 * <p>Like QEMU it sends again what it got no answer for when its relay comes back.
 */
final class SimGuest {
  static final int SECTOR = 512;
  private static final int MAX_SECTORS = 64;
  private static final int IN_FLIGHT = 8;

  private final RandomGenerator random;
  private final int sectors;

  private final BlockHistory history;
  private final List<Op> inFlight = new ArrayList<>();
  private long lastValue;
  private NbdSession session;
  private boolean stopped;
  private long fingerprint;

  SimGuest(int sectors, RandomGenerator random) {
    this.sectors = sectors;
    this.random = random;
    this.history = new BlockHistory(new long[sectors]);
  }

  /** Operations that were answered. */
  long done() {
    return history.operations();
  }

  /** Of everything that was answered, and when. */
  long fingerprint() {
    return fingerprint;
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
    history.powerLoss();
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

  /** One request. */
  private final class Op implements NbdSession.ReadReply {
    private final Kind kind;
    private final int first;
    private final int count;
    private final long value;
    private final boolean fua = random.nextInt(8) == 0;
    private final BlockHistory.Op op;
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
      // A write that is sent again may be carried out twice, so no two of one sector at a time.
      int free = 0;
      while (first + free < sectors && free < count && (kind == Kind.READ || !busy(first + free))) {
        free++;
      }
      this.first = first;
      this.count = free;
      lastValue++;
      this.value = lastValue;
      this.op =
          isFlush()
              ? history.invoke(Kind.FLUSH, 0, 0, 0, false)
              : history.invoke(kind, first, free, value, fua && kind != Kind.READ);
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

    void send() {
      long offset = (long) first * SECTOR;
      long length = (long) count * SECTOR;
      if (isFlush()) {
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
      if (kind == Kind.READ && !isFlush()) {
        history.ok(op, content());
      } else {
        history.ok(op);
      }
      fingerprint = ImageHash.mix(fingerprint, op.toString().hashCode());
      then.run();
    }

    private long[] content() {
      long[] content = new long[count];
      for (int i = 0; i < count; i++) {
        content[i] = buffer.getLong(i * SECTOR);
        for (int at = i * SECTOR; at < (i + 1) * SECTOR; at += Long.BYTES) {
          if (buffer.getLong(at) != content[i]) {
            throw new AssertionError(
                op + ": sector " + (first + i) + " is torn at byte " + at % SECTOR);
          }
        }
        fingerprint = ImageHash.mix(fingerprint, content[i]);
      }
      return content;
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
