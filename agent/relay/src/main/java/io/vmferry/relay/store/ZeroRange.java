// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.store;

import com.sun.jna.Native;
import com.sun.jna.Pointer;
import java.io.IOException;
import java.nio.ByteBuffer;

/** Zeroes ranges of a file by the best means that its file system has. Blocks. */
final class ZeroRange {

  private static final int ZERO_BYTES = 1 << 20;
  private static final ByteBuffer ZEROES = ByteBuffer.allocateDirect(ZERO_BYTES);
  private static final long ZEROES_ADDRESS =
      Pointer.nativeValue(Native.getDirectBufferPointer(ZEROES));

  private ZeroRange() {}

  /** Makes the range a hole; where there are no holes, zeroes. */
  static void punch(PosixFile file, long offset, long length) throws IOException {
    if (!file.punchHole(offset, length) && !file.zeroRange(offset, length)) {
      write(file, offset, length);
    }
  }

  /** Makes the range zeroes with space behind them. */
  static void allocate(PosixFile file, long offset, long length) throws IOException {
    if (file.zeroRange(offset, length)) {
      return;
    }
    if (!file.punchHole(offset, length) || !file.allocate(offset, length)) {
      write(file, offset, length);
    }
  }

  private static void write(PosixFile file, long offset, long length) throws IOException {
    long at = offset;
    long end = offset + length;
    while (at < end) {
      int count = (int) Math.min(ZERO_BYTES, end - at);
      file.write(at, ZEROES_ADDRESS, count);
      at += count;
    }
  }
}
