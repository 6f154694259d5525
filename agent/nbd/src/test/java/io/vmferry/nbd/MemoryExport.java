// SPDX-License-Identifier: Apache-2.0
package io.vmferry.nbd;

import io.netty.buffer.ByteBuf;
import io.netty.channel.DefaultFileRegion;
import io.netty.util.concurrent.EventExecutor;
import io.netty.util.internal.ThreadExecutorMap;
import java.io.File;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Queue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.atomic.AtomicInteger;

/** One export in memory that records what it is asked, and answers at once or when told to. */
final class MemoryExport implements NbdExports, NbdExport, NbdSession {
  final ExportInfo info;
  final byte[] data;
  final List<String> calls = Collections.synchronizedList(new ArrayList<>());

  /** What {@link #find} gives for names other than the export's; null: it is unknown. */
  CompletionStage<NbdExport> otherwise;

  /** Thrown by {@link #open}. */
  NbdExportException refusesToOpen;

  /** Given as the answer to every request. */
  NbdError failure;

  /** Thrown by every request. */
  RuntimeException bug;

  /** Requests are kept in {@link #held} instead of being executed. */
  volatile boolean holding;

  final Queue<Runnable> held = new ConcurrentLinkedQueue<>();
  volatile NbdClient client;

  /** Of the last request; where replies must be completed. */
  private volatile EventExecutor loop;

  ReadReply lastRead;

  /** Has the same content; reads are answered from it where the connection allows. */
  volatile File file;

  final AtomicInteger sentFromFile = new AtomicInteger();

  MemoryExport(ExportInfo info) {
    this.info = info;
    data = new byte[(int) Math.min(info.size(), 64 << 20)];
    for (int i = 0; i < data.length; i++) {
      data[i] = (byte) (i * 31 + (i >> 9));
    }
  }

  static MemoryExport writable(int size) {
    return new MemoryExport(new ExportInfo("disk", size, false, true, true));
  }

  @Override
  public List<String> names() {
    return List.of(info.name(), "zweite Platte");
  }

  @Override
  public CompletionStage<NbdExport> find(String name) {
    calls.add("find " + name);
    if (name.equals(info.name())) {
      return CompletableFuture.completedFuture(this);
    }
    if (otherwise != null) {
      return otherwise;
    }
    return CompletableFuture.failedFuture(
        new NbdExportException(NbdExportException.Reason.UNKNOWN, "There is no export " + name));
  }

  @Override
  public ExportInfo info() {
    return info;
  }

  @Override
  public NbdSession open(NbdClient opener) throws NbdExportException {
    calls.add("open");
    client = opener;
    if (refusesToOpen != null) {
      throw refusesToOpen;
    }
    return this;
  }

  @Override
  public void read(long offset, int length, ReadReply reply) {
    lastRead = reply;
    if (file != null && reply.socket() >= 0) {
      sentFromFile.incrementAndGet();
      reply.success(new DefaultFileRegion(file, offset, length));
      return;
    }
    execute(
        "read %d+%d".formatted(offset, length),
        reply,
        () -> reply.buffer().writeBytes(data, (int) offset, length));
  }

  @Override
  public void write(long offset, ByteBuf payload, boolean fua, Reply reply) {
    try {
      byte[] bytes = new byte[payload.readableBytes()];
      payload.readBytes(bytes);
      execute(
          "write %d+%d fua=%s".formatted(offset, bytes.length, fua),
          reply,
          () -> System.arraycopy(bytes, 0, data, (int) offset, bytes.length));
    } finally {
      payload.release();
    }
  }

  @Override
  public void writeZeroes(
      long offset, long length, boolean mayPunch, boolean fast, boolean fua, Reply reply) {
    execute(
        "zero %d+%d punch=%s fast=%s fua=%s".formatted(offset, length, mayPunch, fast, fua),
        reply,
        () -> fillZero(offset, length));
  }

  @Override
  public void trim(long offset, long length, boolean fua, Reply reply) {
    execute(
        "trim %d+%d fua=%s".formatted(offset, length, fua), reply, () -> fillZero(offset, length));
  }

  @Override
  public void flush(Reply reply) {
    execute("flush", reply, () -> {});
  }

  @Override
  public void cache(long offset, long length, Reply reply) {
    execute("cache %d+%d".formatted(offset, length), reply, () -> {});
  }

  /** Every other 4096 bytes are a hole. */
  @Override
  public void blockStatus(long offset, long length, StatusReply reply) {
    execute(
        "status %d+%d".formatted(offset, length),
        reply,
        () -> {
          long at = offset;
          boolean more = true;
          while (more) {
            long end = (at / 4096 + 1) * 4096;
            boolean hole = at / 4096 % 2 == 1;
            more = reply.extent(end - at, hole, hole);
            at = end;
          }
        });
  }

  @Override
  public void closed(boolean orderly) {
    calls.add("closed orderly=" + orderly);
  }

  /** The calls of the transmission phase. */
  List<String> requests() {
    return calls.stream().filter(call -> !call.matches("(find|open|closed).*")).toList();
  }

  /** Answers the request that waits longest. */
  void releaseOne() {
    held.remove().run();
  }

  void releaseAll() {
    while (!held.isEmpty()) {
      releaseOne();
    }
  }

  void onItsLoop(Runnable task) {
    loop.submit(task).syncUninterruptibly();
  }

  private void fillZero(long offset, long length) {
    Arrays.fill(data, (int) offset, (int) (offset + length), (byte) 0);
  }

  private void execute(String call, Reply reply, Runnable work) {
    calls.add(call);
    loop = ThreadExecutorMap.currentExecutor();
    if (bug != null) {
      throw bug;
    }
    Runnable answer =
        () -> {
          if (failure != null) {
            reply.fail(failure, "the test wants it");
          } else {
            work.run();
            reply.success();
          }
        };
    if (holding) {
      held.add(answer);
    } else {
      answer.run();
    }
  }
}
