// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.handover;

import io.vmferry.relay.volume.Volume;
import java.util.List;
import java.util.concurrent.CompletableFuture;

/** Brings several volumes to rest together, at either end of a takeover. Loop only. */
final class Quiet {
  private Quiet() {}

  /**
   * Stops the data I/O of all these volumes.
   *
   * @return completed when the content of all is durable; fails if one's could not be made so. In
   *     both cases each waits for {@link Volume#resume} or its new state.
   */
  static CompletableFuture<Void> quiesce(List<Volume> volumes) {
    return CompletableFuture.allOf(
        volumes.stream().map(Quiet::quiesce).toArray(CompletableFuture[]::new));
  }

  private static CompletableFuture<Void> quiesce(Volume volume) {
    CompletableFuture<Void> quiet = new CompletableFuture<>();
    volume.quiesce(
        error -> {
          if (error == null) {
            quiet.complete(null);
          } else {
            quiet.completeExceptionally(error);
          }
        });
    return quiet;
  }
}
