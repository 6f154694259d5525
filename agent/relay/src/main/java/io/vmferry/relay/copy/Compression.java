// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.copy;

import com.github.luben.zstd.Zstd;
import com.github.luben.zstd.ZstdCompressCtx;
import com.github.luben.zstd.ZstdDecompressCtx;
import com.github.luben.zstd.ZstdException;
import com.github.luben.zstd.util.Native;
import io.netty.buffer.ByteBuf;
import io.netty.buffer.ByteBufAllocator;
import java.nio.ByteBuffer;
import java.util.concurrent.Executor;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.atomic.AtomicInteger;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Compression of what travels between relays, on one thread of its own so that no guest waits for
 * it. What would have to queue for long is sent as it is: on a link that is faster than that thread
 * most data goes uncompressed, and the link stays full. Thread-safe, except where it says
 * otherwise.
 */
public final class Compression {
  private static final Logger log = LoggerFactory.getLogger(Compression.class);

  /**
   * Fast enough for a gigabit on one core; higher levels win some percent at several times the
   * cost.
   */
  private static final int LEVEL = 1;

  /** Answers that may wait for the thread, the one it works at included. */
  static final int MAX_WAITING = 8;

  /** Shorter data gains less than it costs to look at. */
  public static final int MIN_BYTES = 16 << 10;

  /** Part of the data that is tried first. */
  private static final int SAMPLE = 4 << 10;

  /** Compressed data is worth its trouble below this share of its size. */
  private static final double WORTH = 0.9;

  private static final boolean AVAILABLE = load();

  private final Executor thread;
  private final AtomicInteger waiting = new AtomicInteger();

  /** Made on the thread at its first use; confined to it. */
  private ZstdCompressCtx context;

  /**
   * @param thread runs one task at a time
   */
  public Compression(Executor thread) {
    this.thread = thread;
  }

  private static boolean load() {
    try {
      Native.load();
      return Native.isLoaded();
    } catch (LinkageError | RuntimeException e) {
      log.warn(
          "Nothing is compressed: the zstd library can't be loaded ({}); is the directory for"
              + " temporary files mounted noexec?",
          e.toString());
      return false;
    }
  }

  /** Whether this node can compress and decompress. */
  public static boolean available() {
    return AVAILABLE;
  }

  /**
   * Runs {@code task} soon on the thread, where it may {@link #pack}.
   *
   * @return false if it was not taken, because others wait already or nothing can be compressed
   */
  public boolean submit(Runnable task) {
    if (!AVAILABLE || waiting.get() >= MAX_WAITING) {
      return false;
    }
    waiting.incrementAndGet();
    try {
      thread.execute(
          () -> {
            try {
              task.run();
            } finally {
              waiting.decrementAndGet();
            }
          });
      return true;
    } catch (RejectedExecutionException e) {
      waiting.decrementAndGet();
      return false;
    }
  }

  /**
   * The compressed form of a buffer's readable bytes. Only on the thread.
   *
   * @param data stays the caller's
   * @return null if it isn't worth it
   */
  public ByteBuf pack(ByteBuf data) {
    int length = data.readableBytes();
    if (length < MIN_BYTES || !promising(data)) {
      return null;
    }
    return packed(data, data.readerIndex(), length);
  }

  /** From its middle: the beginning of many blocks is a header, unlike the rest. */
  private boolean promising(ByteBuf data) {
    int at = data.readerIndex() + (data.readableBytes() - SAMPLE) / 2;
    ByteBuf sample = packed(data, at, SAMPLE);
    if (sample == null) {
      return false;
    }
    sample.release();
    return true;
  }

  private ByteBuf packed(ByteBuf data, int index, int length) {
    if (context == null) {
      // The frame says its length; the extent has a checksum of its own.
      context = new ZstdCompressCtx().setLevel(LEVEL).setChecksum(false).setContentSize(true);
    }
    int bound = (int) Zstd.compressBound(length);
    ByteBuf out = ByteBufAllocator.DEFAULT.directBuffer(bound, bound);
    try {
      int size = context.compress(out.nioBuffer(0, bound), inDirectMemory(data, index, length));
      if (size < length * WORTH) {
        return out.writerIndex(size).retain();
      }
      return null;
    } catch (ZstdException e) {
      log.warn("Data is sent uncompressed: {}", e.getMessage());
      return null;
    } finally {
      out.release();
    }
  }

  /** The library reads direct memory only; data from the disk and from the network is there. */
  private static ByteBuffer inDirectMemory(ByteBuf data, int index, int length) {
    ByteBuffer bytes = data.nioBuffer(index, length);
    return bytes.isDirect() ? bytes : ByteBuffer.allocateDirect(length).put(bytes).flip();
  }

  /**
   * Undoes {@link #pack}.
   *
   * @param packed stays the caller's
   * @param length what it must become; no more memory than that is taken, whatever the data says
   * @return null if it is anything else
   */
  static ByteBuf unpack(ByteBuf packed, int length) {
    ByteBuf out = ByteBufAllocator.DEFAULT.directBuffer(length, length);
    try (ZstdDecompressCtx context = new ZstdDecompressCtx()) {
      int size =
          context.decompress(
              out.nioBuffer(0, length),
              inDirectMemory(packed, packed.readerIndex(), packed.readableBytes()));
      return size == length ? out.writerIndex(length).retain() : null;
    } catch (ZstdException e) {
      return null;
    } finally {
      out.release();
    }
  }
}
