// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.store;

import com.sun.jna.Native;
import com.sun.jna.Pointer;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Which bytes of a file are in the page cache. The kernel is asked about a mapping that nobody may
 * read from: it takes address space and no memory. Belongs to one thread.
 *
 * <p>An answer is true when it is given. Pages that were used a moment ago are the last that the
 * kernel takes away, so it is still true some microseconds later.
 */
final class ResidentPages {
  private static final byte RESIDENT = 1;

  private static final Logger log = LoggerFactory.getLogger(ResidentPages.class);

  private final Syscalls syscalls;
  private final Path path;
  private final int fd;
  private final long size;
  private final int pageSize;

  /** One byte for each page of the largest range that was asked for. */
  private ByteBuffer pages = ByteBuffer.allocateDirect(0);

  private long pagesAddress;

  /** Of the mapping; 0 before the first question, negative if there can't be one. */
  private long address;

  /**
   * Nothing is mapped yet.
   *
   * @param size bytes of the file that count
   */
  ResidentPages(Syscalls syscalls, Path path, int fd, long size) {
    this.syscalls = syscalls;
    this.path = path;
    this.fd = fd;
    this.size = size;
    this.pageSize = syscalls.pageSize();
  }

  /** Whether all of the range is there; false if the kernel doesn't say. */
  boolean has(long offset, int length) {
    if (address == 0) {
      address = syscalls.mapWithoutAccess(fd, size);
      if (address < 0) {
        unknown("mmap", address);
      }
    }
    return address > 0 && ask(offset, length);
  }

  private boolean ask(long offset, int length) {
    long from = offset / pageSize;
    int count = (int) ((offset + length + pageSize - 1) / pageSize - from);
    if (pages.capacity() < count) {
      pages = ByteBuffer.allocateDirect(count);
      pagesAddress = Pointer.nativeValue(Native.getDirectBufferPointer(pages));
    }
    int result = syscalls.mincore(address + from * pageSize, (long) count * pageSize, pagesAddress);
    if (result != 0) {
      if (result != -Errno.EAGAIN) {
        unmap();
        unknown("mincore", result);
      }
      return false;
    }
    for (int i = 0; i < count; i++) {
      if ((pages.get(i) & RESIDENT) == 0) {
        return false;
      }
    }
    return true;
  }

  /** It isn't asked again. */
  private void unknown(String call, long result) {
    address = result;
    log.warn(
        "{}: {} failed with error number {}: the kernel doesn't say what is in memory, so large"
            + " reads are copied, which takes longer. Does the unit's SystemCallFilter= allow it?",
        path,
        call,
        -result);
  }

  /** Gives the mapping back. */
  void unmap() {
    if (address > 0) {
      syscalls.munmap(address, size);
      address = 0;
    }
  }
}
