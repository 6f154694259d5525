// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.peer;

import io.netty.buffer.AbstractByteBufAllocator;
import io.netty.buffer.ByteBuf;
import io.netty.buffer.UnpooledByteBufAllocator;

/** Allocator that knows exactly how much is not released, and the largest buffer asked for. */
final class CountingAllocator extends AbstractByteBufAllocator {
  private final UnpooledByteBufAllocator memory = new UnpooledByteBufAllocator(true);
  private long largest;

  CountingAllocator() {
    super(true);
  }

  @Override
  protected ByteBuf newHeapBuffer(int initialCapacity, int maxCapacity) {
    return memory.heapBuffer(initialCapacity, maxCapacity);
  }

  @Override
  protected ByteBuf newDirectBuffer(int initialCapacity, int maxCapacity) {
    largest = Math.max(largest, initialCapacity);
    return memory.directBuffer(initialCapacity, maxCapacity);
  }

  @Override
  public boolean isDirectBufferPooled() {
    return false;
  }

  /** Bytes in buffers that nobody has released. */
  long held() {
    return memory.metric().usedDirectMemory() + memory.metric().usedHeapMemory();
  }

  /** Largest direct buffer that was asked for. */
  long largest() {
    return largest;
  }
}
