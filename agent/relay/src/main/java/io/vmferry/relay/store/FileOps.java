// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.store;

import java.io.Closeable;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.List;

/**
 * The primitive operations that durable files are made of. Injected: production has {@link
 * DiskFileOps}; tests fail or crash at any one of them.
 *
 * <p>All block; for I/O threads only. Nothing is durable before the force that says so: content by
 * {@link Output#force}, names by {@link #forceDirectory}.
 */
public interface FileOps {

  /**
   * Whole content of a file.
   *
   * @param limit the most bytes that a sound file can have; a longer one is an IOException
   * @throws java.nio.file.NoSuchFileException if there is none
   */
  byte[] read(Path file, long limit) throws IOException;

  /** Creates a file, or empties an existing one, for writing from its start. */
  Output create(Path file) throws IOException;

  /** Renames atomically, replacing {@code to} if it exists. */
  void rename(Path from, Path to) throws IOException;

  /** Deletes a file; nothing happens if there is none. */
  void delete(Path file) throws IOException;

  /** Files in a directory, in no order. */
  List<Path> list(Path directory) throws IOException;

  /** Makes creations, renames and deletions in the directory durable. */
  void forceDirectory(Path directory) throws IOException;

  /** A file open for appending. */
  interface Output extends Closeable {
    /** Appends all remaining bytes. After an exception an unknown part of them is in the file. */
    void write(ByteBuffer bytes) throws IOException;

    /**
     * Writes all remaining bytes over what is at {@code offset}; they end before the file does.
     * After an exception an unknown part of them is in the file.
     */
    void overwrite(long offset, ByteBuffer bytes) throws IOException;

    /** Makes all written bytes durable (fdatasync). */
    void force() throws IOException;
  }
}
