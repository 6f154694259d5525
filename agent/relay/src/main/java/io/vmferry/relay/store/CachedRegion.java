// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.store;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.PooledByteBufAllocator;
import io.netty.channel.FileRegion;
import io.netty.util.AbstractReferenceCounted;
import java.io.EOFException;
import java.io.IOException;
import java.nio.channels.WritableByteChannel;

/**
 * A range of a file, in the page cache when it was made, that goes to a socket without being copied
 * by this process. What the socket has no room for at the first attempt is kept in memory: when the
 * client takes it, perhaps much later, the file may have to be read from a disk, and the event loop
 * would wait for that. Event loop only.
 */
final class CachedRegion extends AbstractReferenceCounted implements FileRegion {

  /** The file that it is a range of. */
  interface Host {
    /** This kernel can't send from this file to this socket. */
    void unsupported();

    /** The region doesn't need the file any more. */
    void released();
  }

  private final PosixFile file;
  private final int socket;
  private final long offset;
  private final int length;
  private final Host host;
  private long sent;

  /** What is not sent yet, after the first attempt; null before. */
  private ByteBuf rest;

  CachedRegion(PosixFile file, int socket, long offset, int length, Host host) {
    this.file = file;
    this.socket = socket;
    this.offset = offset;
    this.length = length;
    this.host = host;
  }

  /** The channel is that of the socket; it is used for the rest only. */
  @Override
  public long transferTo(WritableByteChannel target, long position) throws IOException {
    long before = sent;
    if (rest == null) {
      sendFromFile();
    } else {
      int count = target.write(rest.nioBuffer());
      rest.skipBytes(count);
      sent += count;
    }
    return sent - before;
  }

  private void sendFromFile() throws IOException {
    while (sent < length) {
      int count = file.trySend(socket, offset + sent, (int) (length - sent));
      if (count == 0) {
        throw new EOFException("The file ends at byte " + (offset + sent) + ", inside a reply");
      }
      if (count < 0) {
        if (count == PosixFile.UNSUPPORTED) {
          host.unsupported();
        }
        keepRest();
        return;
      }
      sent += count;
    }
  }

  private void keepRest() throws IOException {
    int missing = (int) (length - sent);
    rest = PooledByteBufAllocator.DEFAULT.directBuffer(missing, missing);
    file.read(offset + sent, rest.memoryAddress(), missing);
    rest.writerIndex(missing);
  }

  @Override
  public long position() {
    return offset;
  }

  @Override
  public long count() {
    return length;
  }

  @Override
  public long transferred() {
    return sent;
  }

  @Override
  @Deprecated
  public long transfered() {
    return sent;
  }

  @Override
  protected void deallocate() {
    if (rest != null) {
      rest.release();
    }
    host.released();
  }

  @Override
  public CachedRegion retain() {
    super.retain();
    return this;
  }

  @Override
  public CachedRegion retain(int increment) {
    super.retain(increment);
    return this;
  }

  @Override
  public CachedRegion touch() {
    return this;
  }

  @Override
  public CachedRegion touch(Object hint) {
    return this;
  }
}
