// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.volume;

import io.vmferry.api.VolumeStatus;
import io.vmferry.relay.copy.BlockSource;
import io.vmferry.relay.copy.BulkLane;
import io.vmferry.relay.copy.Origin;
import io.vmferry.relay.peer.wire.Role;
import java.util.concurrent.CompletableFuture;

/** A world in which no NBD server answers. */
public final class NoSources implements Sources, Sources.Source, BlockSource {
  @Override
  public Source open(VolumeRecord record, Runnable whenUp) {
    return this;
  }

  /** What becomes of a request to fetch from one. */
  public static CompletableFuture<VolumeStatus> none() {
    return CompletableFuture.failedFuture(
        new UnsupportedOperationException("there are no NBD servers here"));
  }

  @Override
  public BlockSource blocks() {
    return this;
  }

  @Override
  public BulkLane lane() {
    return null; // nothing is ever asked for in the background
  }

  @Override
  public void close() {}

  @Override
  public String name() {
    return "no server";
  }

  @Override
  public boolean up() {
    return false;
  }

  @Override
  public String waitingFor() {
    return "no server answers";
  }

  @Override
  public void read(Role role, long offset, int length, boolean compressed, Origin.Sink sink) {}

  @Override
  public void holes(long offset, long size, Origin.HoleSink sink) {}

  @Override
  public void heat(long size, Origin.HeatSink sink) {}
}
