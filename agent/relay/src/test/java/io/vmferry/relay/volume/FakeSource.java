// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.volume;

import io.vmferry.api.Epoch;
import io.vmferry.relay.copy.BlockSource;
import io.vmferry.relay.copy.BulkLane;
import io.vmferry.relay.copy.FakeLink;
import io.vmferry.relay.copy.Origin;
import io.vmferry.relay.exec.Loop;
import java.util.UUID;

/** One server whose answers the test gives by hand, at a link. */
final class FakeSource implements Sources, Sources.Source {
  static final String URI = "nbd://server/disk";

  private final FakeLink link;
  private final BulkLane lane;
  private final Loop loop;
  private int open;
  private Runnable whenUp;

  FakeSource(FakeLink link, BulkLane lane, Loop loop) {
    this.link = link;
    this.lane = lane;
    this.loop = loop;
  }

  /** How often it is open. */
  int open() {
    return open;
  }

  /** The server can be reached again. */
  void repair() {
    link.repair();
    whenUp.run();
  }

  @Override
  public Source open(VolumeRecord record, Runnable newWhenUp) {
    open++;
    whenUp = newWhenUp;
    return this;
  }

  @Override
  public BlockSource blocks() {
    return new Origin(link, new UUID(3, 4), new Epoch(1, "b"), loop);
  }

  @Override
  public BulkLane lane() {
    return lane;
  }

  @Override
  public void close() {
    open--;
  }
}
