// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.handover;

import io.vmferry.api.Problem;
import io.vmferry.api.ProblemException;
import io.vmferry.api.VolumeState;
import io.vmferry.api.VolumeStatus;
import io.vmferry.relay.handover.Locator.Found;
import io.vmferry.relay.volume.Volume;
import io.vmferry.relay.volume.Volumes;
import java.util.Comparator;
import java.util.List;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.stream.Collectors;

/** Whether this node's disk has room for volumes that are to come here. Loop only. */
final class SpaceCheck {
  private final Volumes volumes;
  private final Peers peers;

  SpaceCheck(Volumes volumes, Peers peers) {
    this.volumes = volumes;
    this.peers = peers;
  }

  /**
   * Completes if all that the owners' replicas occupy, and is not here already, fits.
   *
   * @return fails with NO_SPACE, or INTERNAL if the free space is unknown
   */
  CompletableFuture<Void> check(List<Found> owned) {
    long needed = 0;
    for (Found each : owned) {
      Volume here = volumes.byName(each.replica().getName());
      long has = here == null ? 0 : here.status().allocated();
      needed += Math.max(0, each.replica().getAllocated() - has);
    }
    long need = needed;
    CompletableFuture<Void> checked = new CompletableFuture<>();
    volumes
        .shared()
        .tasks()
        .run(
            () -> volumes.shared().storage().freeBytes(),
            (free, error) -> {
              if (error != null) {
                checked.completeExceptionally(
                    Volumes.storageProblem("the free space on this node is unknown", error));
              } else if (free < need) {
                checked.completeExceptionally(
                    new ProblemException(
                        Problem.Code.NO_SPACE,
                        "node "
                            + peers.self()
                            + " has "
                            + (free >> 20)
                            + " MiB free for volumes and "
                            + (need >> 20)
                            + " MiB are needed; "
                            + howToMakeRoom(owned)
                            + "choose another node"));
              } else {
                checked.complete(null);
              }
            });
    return checked;
  }

  /** Retained copies are a convenience: whoever is refused because of them should know. */
  private String howToMakeRoom(List<Found> owned) {
    Set<String> wanted =
        owned.stream().map(each -> each.replica().getName()).collect(Collectors.toSet());
    List<VolumeStatus> copies =
        volumes.all().stream()
            .filter(volume -> volume.record().state() == VolumeState.RELEASED)
            .filter(volume -> volume.record().completeAt() != null && volume.clients() == 0)
            .filter(volume -> !wanted.contains(volume.record().name()))
            .map(Volume::status)
            .sorted(Comparator.comparingLong(VolumeStatus::allocated).reversed())
            .toList();
    if (copies.isEmpty()) {
      return "free some or ";
    }
    long held = copies.stream().mapToLong(VolumeStatus::allocated).sum();
    return "copies of volumes that are complete elsewhere hold "
        + (held >> 20)
        + " MiB: delete the largest with 'vmferry volume delete "
        + copies.get(0).name()
        + "', or ";
  }
}
