// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.map;

import java.lang.reflect.Field;
import java.lang.reflect.Method;
import java.nio.ByteBuffer;
import java.nio.MappedByteBuffer;

/**
 * Unmaps a file at once instead of at some garbage collection. Java 17 has no public way; the one
 * in {@code jdk.unsupported} is the one it documents, reached by reflection because a compiler that
 * targets a release doesn't show it.
 */
final class Unmapper {

  private static final Object UNSAFE;
  private static final Method INVOKE_CLEANER;

  static {
    try {
      Class<?> type = Class.forName("sun.misc.Unsafe");
      Field instance = type.getDeclaredField("theUnsafe");
      instance.setAccessible(true);
      UNSAFE = instance.get(null);
      INVOKE_CLEANER = type.getMethod("invokeCleaner", ByteBuffer.class);
    } catch (ReflectiveOperationException e) {
      throw new ExceptionInInitializerError(e);
    }
  }

  private Unmapper() {}

  /** Unmaps; the buffer must never be used again. */
  static void unmap(MappedByteBuffer buffer) {
    try {
      INVOKE_CLEANER.invoke(UNSAFE, buffer);
    } catch (ReflectiveOperationException e) {
      throw new IllegalStateException("A file can't be unmapped on this JVM", e);
    }
  }
}
