// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.volume;

import io.vmferry.api.Epoch;
import io.vmferry.config.PreCopyMode;
import io.vmferry.relay.copy.BulkLane;
import io.vmferry.relay.copy.Origin;
import io.vmferry.relay.exec.DiskTasks;
import io.vmferry.relay.exec.Loop;
import io.vmferry.relay.exec.RequestCount;
import io.vmferry.relay.peer.PeerLink;
import java.time.InstantSource;
import java.util.UUID;
import java.util.function.Function;
import java.util.function.Supplier;

/**
 * What all volumes of a relay share.
 *
 * @param requests counts those of all guests
 * @param wallClock for times that are noted and shown; nothing is decided by it here
 * @param links to other nodes, by their names
 * @param lanes the window of the background copy from another node, by its name
 * @param preCopyMode what a new standby copies unless its migration says otherwise
 */
public record VolumeEnvironment(
    Loop loop,
    RequestCount requests,
    DiskTasks tasks,
    VolumeStorage storage,
    Commits commits,
    ProcessTable processes,
    InstantSource wallClock,
    Function<String, PeerLink> links,
    Function<String, BulkLane> lanes,
    Sources sources,
    Supplier<PreCopyMode> preCopyMode,
    Volume.Events events) {

  /**
   * Reads a volume at another node.
   *
   * @param epoch the frozen content of that epoch, or null for the owner's of right now
   */
  Origin origin(String node, UUID volume, Epoch epoch) {
    return new Origin(links.apply(node), volume, epoch, loop);
  }
}
