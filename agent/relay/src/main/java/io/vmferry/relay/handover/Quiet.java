// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.handover;

import io.vmferry.relay.volume.Volume;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.function.Consumer;

/**
 * Volumes brought to rest together, at either end of a takeover: their data I/O is stopped and
 * their content durable. Loop only.
 *
 * <p>Something else may set one of them going meanwhile, such as a guest that starts and attaches a
 * standby anew. So whoever wants to rely on the rest asks {@link #lasts} when the change of records
 * has its turn; nothing else can begin from there to the change's end.
 */
final class Quiet {
  /** A volume, and which of its arrangements was stopped. */
  private record Resting(Volume volume, long arrangement) {
    boolean lasts() {
      return volume.arrangement() == arrangement;
    }
  }

  private final List<Resting> volumes = new ArrayList<>();
  private final CompletableFuture<Void> reached;

  /** Begins to bring them to rest. */
  Quiet(List<Volume> volumes) {
    List<CompletableFuture<Void>> all = new ArrayList<>();
    for (Volume volume : volumes) {
      this.volumes.add(new Resting(volume, volume.arrangement()));
      all.add(quiesce(volume));
    }
    reached = CompletableFuture.allOf(all.toArray(CompletableFuture[]::new));
  }

  /**
   * When all rest: {@code then}, with null if their content is durable. If one's could not be made
   * so, with the reason. In both cases each waits for {@link #end} or its new state.
   */
  void whenReached(Consumer<IOException> then) {
    var unused =
        reached.whenComplete(
            (done, error) -> then.accept(error == null ? null : (IOException) error.getCause()));
  }

  /** Whether all have rested ever since. */
  boolean lasts() {
    return volumes.stream().allMatch(Resting::lasts);
  }

  /** Lets those go on that still rest. */
  void end() {
    volumes.stream().filter(Resting::lasts).forEach(each -> each.volume().resume());
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
