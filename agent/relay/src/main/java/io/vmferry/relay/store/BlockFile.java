// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.store;

import io.netty.buffer.ByteBuf;
import io.netty.channel.FileRegion;
import java.io.IOException;

/**
 * A replica's data file. Injected: production reads and writes a sparse raw file, the simulator a
 * lossy one in memory.
 *
 * <p>All methods are called on the volume's event loop and never block it; the callback comes on
 * the same loop, possibly before the method returns. Offsets and lengths are bytes inside the file.
 * Buffers belong to the caller, stay untouched until the callback, and are direct.
 */
public interface BlockFile {

  /** Outcome of one operation. */
  @FunctionalInterface
  interface Done {
    /** Called once, with null on success. */
    void done(IOException error);
  }

  /** Answer of {@link #extents}. */
  interface ExtentVisitor {
    /**
     * The next extent, in order and without gaps.
     *
     * @return false to stop
     */
    boolean extent(long offset, long length, boolean hole);
  }

  /** Size in bytes; changes only by {@link #grown}. */
  long size();

  /** The file has been made larger; what is new reads as zeroes. Nothing must be under way. */
  void grown(long newSize);

  /** Appends exactly {@code length} bytes from {@code offset} to {@code target}. */
  void read(long offset, ByteBuf target, int length, Done done);

  /**
   * The range as something that is sent to a socket without being copied here, if it is in the page
   * cache and doesn't hold the loop for long. To be sent at once, and released.
   *
   * @param socket descriptor of a nonblocking socket, -1 if there is none
   * @return null if the range has to be {@link #read}
   */
  FileRegion cached(long offset, int length, int socket);

  /** Writes all readable bytes of {@code source} at {@code offset}; its indexes don't move. */
  void write(long offset, ByteBuf source, Done done);

  /**
   * Makes the range read as zeroes.
   *
   * @param punch true: as a hole; false: allocated (a later write there can't give ENOSPC)
   */
  void zero(long offset, long length, boolean punch, Done done);

  /**
   * Makes durable what was completed before the call (fdatasync). After one failure the file is
   * poisoned: every later force fails too, for pages the kernel dropped can't be told from written
   * ones.
   */
  void force(Done done);

  /**
   * Data and holes of a range; the range's last extent may be reported shorter or longer. Runs on
   * an I/O thread and calls back on the volume's event loop, some extents at a time, until the
   * visitor has enough.
   */
  void extents(long offset, long length, ExtentVisitor visitor, Done done);

  /** Bytes allocated on disk; may touch the file system's metadata, never the data. */
  long allocated();

  void close();
}
