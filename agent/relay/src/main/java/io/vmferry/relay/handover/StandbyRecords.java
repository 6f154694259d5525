// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.handover;

import io.vmferry.relay.volume.Volume;
import io.vmferry.relay.volume.VolumeRecord;
import io.vmferry.relay.volume.Volumes;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.function.Supplier;

/** Durable changes of replicas that become standbys or stop to be some. Loop only. */
final class StandbyRecords {
  private final Volumes volumes;

  StandbyRecords(Volumes volumes) {
    this.volumes = volumes;
  }

  /**
   * Changes the state of one replica.
   *
   * @param change called when its turn comes; null for no change
   * @return completed on the loop when the change is durable and applied, or none was made
   */
  CompletableFuture<Void> change(Volume volume, Supplier<VolumeRecord> change) {
    CompletableFuture<Void> result = new CompletableFuture<>();
    volumes
        .commits()
        .<VolumeRecord>submit(
            () -> {
              VolumeRecord changed = change.get();
              if (changed == null) {
                return null;
              }
              return () -> {
                volumes.shared().storage().commit(List.of(changed));
                return changed;
              };
            },
            (changed, error) -> {
              if (error != null) {
                result.completeExceptionally(
                    Volumes.storageProblem(
                        "volume " + volume.record().name() + " can't be attached", error));
                return;
              }
              if (changed != null) {
                volume.become(changed);
              }
              result.complete(null);
            });
    return result;
  }
}
