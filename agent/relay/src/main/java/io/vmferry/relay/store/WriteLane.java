// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.store;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Executor;
import java.util.concurrent.RejectedExecutionException;
import java.util.function.LongSupplier;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The writes of one file that may wait: one after another on one disk thread at a time, all that
 * have gathered in one go. File systems let only one buffered write at a time into a file, so more
 * threads would only wait for each other; and one change of threads serves many requests.
 *
 * <p>Loop only, but for {@link #run}.
 */
final class WriteLane {
  private static final Logger log = LoggerFactory.getLogger(WriteLane.class);

  /** Nanoseconds that a finished write may wait for the rest of its batch to be told. */
  static final long TELL_AFTER = 200_000;

  /** What the lane needs from its file. */
  interface Host {
    /** A write is over; called on the loop. {@code nanos}: how long it took. */
    void written(BlockFile.Done done, IOException error, long nanos);
  }

  /** One write; its outcome is set on the disk thread, before the loop is told. */
  private static final class Write {
    private final long offset;
    private final long address;
    private final int length;
    private final BlockFile.Done done;
    private IOException error;
    private long nanos;

    Write(long offset, long address, int length, BlockFile.Done done) {
      this.offset = offset;
      this.address = address;
      this.length = length;
      this.done = done;
    }
  }

  private final PosixFile file;
  private final Executor eventLoop;
  private final Executor io;
  private final LongSupplier nanoTime;
  private final Host host;

  private List<Write> waiting = new ArrayList<>();
  private boolean running;

  WriteLane(PosixFile file, Executor eventLoop, Executor io, LongSupplier nanoTime, Host host) {
    this.file = file;
    this.eventLoop = eventLoop;
    this.io = io;
    this.nanoTime = nanoTime;
    this.host = host;
  }

  /** Whether nothing is being written or waits for it. */
  boolean isIdle() {
    return !running;
  }

  void write(long offset, long address, int length, BlockFile.Done done) {
    waiting.add(new Write(offset, address, length, done));
    if (!running) {
      start();
    }
  }

  private void start() {
    List<Write> batch = waiting;
    waiting = new ArrayList<>();
    running = true;
    try {
      io.execute(() -> run(batch));
    } catch (RejectedExecutionException e) {
      for (Write write : batch) {
        write.error = new IOException("the relay is stopping", e);
      }
      told(batch, 0, batch.size());
    }
  }

  /** On a disk thread. */
  private void run(List<Write> batch) {
    int told = 0;
    long lastTold = nanoTime.getAsLong();
    long began = lastTold;
    for (int i = 0; i < batch.size(); i++) {
      Write write = batch.get(i);
      try {
        file.write(write.offset, write.address, write.length);
      } catch (IOException e) {
        write.error = e;
      } catch (RuntimeException e) {
        write.error = new IOException("A bug in disk I/O: " + e, e);
      }
      long now = nanoTime.getAsLong();
      write.nanos = now - began;
      began = now;
      if (now - lastTold >= TELL_AFTER && i + 1 < batch.size()) {
        tell(batch, told, i + 1);
        told = i + 1;
        lastTold = now;
      }
    }
    tell(batch, told, batch.size());
  }

  private void tell(List<Write> batch, int from, int to) {
    eventLoop.execute(() -> told(batch, from, to));
  }

  private void told(List<Write> batch, int from, int to) {
    if (to == batch.size()) {
      running = false;
      if (!waiting.isEmpty()) {
        start();
      }
    }
    for (Write write : batch.subList(from, to)) {
      try {
        host.written(write.done, write.error, write.nanos);
      } catch (RuntimeException e) {
        // One broken callback must not leave the others of its batch unanswered.
        log.error("a finished write was not told", e);
      }
    }
  }
}
