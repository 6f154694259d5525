// SPDX-License-Identifier: Apache-2.0
package io.vmferry.nbd;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.ByteBufAllocator;
import io.netty.channel.AdaptiveRecvByteBufAllocator;
import io.netty.channel.Channel;
import io.netty.channel.RecvByteBufAllocator;
import io.netty.util.UncheckedBooleanSupplier;

/**
 * Where one connection's bytes are received. The rest of a payload that has begun goes straight to
 * its own buffer, which is what the disk then writes from: a large write is copied once on its way
 * from the socket to the page cache. Everything else goes to a buffer that may hold many requests.
 *
 * <p>Used by the connection's event loop only.
 */
final class ReceiveBuffers implements RecvByteBufAllocator {

  /** Bytes; many small requests, or few with a small payload, in one call of the kernel. */
  private static final int MOST = 64 << 10;

  private static final int LEAST = 2 << 10;

  /** Bytes missing of a payload; to receive less by itself costs more than to copy it. */
  private static final int WORTH_IT = 8 << 10;

  private static final int LARGE_PAYLOAD = 32 << 10;

  /**
   * Bytes received of what follows a large payload: most likely the header of another one, whose
   * payload had better not be received in this buffer.
   */
  private static final int AFTER_LARGE_PAYLOAD = 4 << 10;

  /**
   * Buffers received at once at most of large payloads, each filled to its end: the rest of one,
   * the header of the next and the beginning of its payload. Other connections wait meanwhile.
   */
  private static final int MOST_AT_ONCE = 3;

  private final AdaptiveRecvByteBufAllocator ordinary =
      new AdaptiveRecvByteBufAllocator(LEAST, LEAST, MOST);

  private RequestDecoder decoder;

  ReceiveBuffers() {
    ordinary.maxMessagesPerRead(MOST_AT_ONCE);
  }

  /** The buffers of a channel; null if it receives in another way. */
  static ReceiveBuffers of(Channel channel) {
    return channel.config().getRecvByteBufAllocator() instanceof ReceiveBuffers buffers
        ? buffers
        : null;
  }

  /** From now on the bytes are requests, cut by {@code decoder}. */
  void use(RequestDecoder newDecoder) {
    decoder = newDecoder;
  }

  private boolean payloadsAreLarge() {
    return decoder.payloadBytes() >= LARGE_PAYLOAD;
  }

  @Override
  public ExtendedHandle newHandle() {
    return new Receiving((ExtendedHandle) ordinary.newHandle());
  }

  private final class Receiving extends DelegatingHandle implements ExtendedHandle {
    private final ExtendedHandle handle;

    Receiving(ExtendedHandle handle) {
      super(handle);
      this.handle = handle;
    }

    @Override
    public ByteBuf allocate(ByteBufAllocator allocator) {
      if (decoder != null) {
        ByteBuf payload = decoder.roomForPayload(WORTH_IT);
        if (payload != null) {
          return payload.retain();
        }
        if (payloadsAreLarge()) {
          return allocator.ioBuffer(AFTER_LARGE_PAYLOAD);
        }
      }
      return handle.allocate(allocator);
    }

    /**
     * Asked when a buffer is full. Small requests are answered first: their guest waits for that,
     * while the guest of a large write waits for room in its socket.
     */
    @Override
    public boolean continueReading(UncheckedBooleanSupplier maybeMore) {
      return decoder != null && payloadsAreLarge() && handle.continueReading(maybeMore);
    }
  }
}
