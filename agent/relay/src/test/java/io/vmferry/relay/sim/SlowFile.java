// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.sim;

import io.netty.buffer.ByteBuf;
import io.netty.channel.FileRegion;
import io.vmferry.relay.store.BlockFile;
import io.vmferry.relay.store.MemoryBlockFile;
import java.util.random.RandomGenerator;

/**
 * A data file whose operations take some time, in any order. Each takes effect at once or at its
 * end: when the process is killed in between, both outcomes happen.
 */
final class SlowFile implements BlockFile {
  private static final int MAX_DELAY_NANOS = 2_000_000;

  private final MemoryBlockFile file;
  private final VirtualTime.NodeLoop loop;
  private final RandomGenerator random;

  SlowFile(MemoryBlockFile file, VirtualTime.NodeLoop loop, RandomGenerator random) {
    this.file = file;
    this.loop = loop;
    this.random = random;
  }

  private interface Effect {
    void apply(Done done);
  }

  private void slowly(Effect effect, Done done) {
    int delay = random.nextInt(MAX_DELAY_NANOS);
    if (delay % 4 == 0) {
      // As from the page cache: before the call returns.
      effect.apply(done);
    } else if (delay % 2 == 0) {
      effect.apply(error -> loop.schedule(delay, () -> done.done(error)));
    } else {
      loop.schedule(delay, () -> effect.apply(done));
    }
  }

  @Override
  public long size() {
    return file.size();
  }

  @Override
  public void grown(long newSize) {
    file.grown(newSize);
  }

  @Override
  public FileRegion cached(long offset, int length, int socket) {
    return file.cached(offset, length, socket);
  }

  @Override
  public void read(long offset, ByteBuf target, int length, Done done) {
    slowly(d -> file.read(offset, target, length, d), done);
  }

  @Override
  public void write(long offset, ByteBuf source, Done done) {
    slowly(d -> file.write(offset, source, d), done);
  }

  @Override
  public void zero(long offset, long length, boolean punch, Done done) {
    slowly(d -> file.zero(offset, length, punch, d), done);
  }

  @Override
  public void force(Done done) {
    slowly(file::force, done);
  }

  @Override
  public void extents(long offset, long length, ExtentVisitor visitor, Done done) {
    slowly(d -> file.extents(offset, length, visitor, d), done);
  }

  @Override
  public long allocated() {
    return file.allocated();
  }

  @Override
  public void close() {
    // The file outlives the process.
  }
}
