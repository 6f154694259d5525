// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.volume;

import io.vmferry.relay.exec.DiskTasks;
import io.vmferry.relay.map.BlockMap;
import io.vmferry.relay.store.BlockFile;
import io.vmferry.relay.store.HeldJournal;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;

/**
 * Makes a volume's completed writes durable, in the order that is law: data, then bit, then reply.
 * Requests that arrive during a round wait for the next one, which they all share. Loop only.
 */
final class Durability {
  private final BlockFile file;
  private final HeldBlocks held;
  private final HeldJournal journal;
  private final DiskTasks tasks;

  private List<Consumer<IOException>> next = new ArrayList<>();
  private boolean running;

  /**
   * For one replica in one epoch.
   *
   * @param journal null when nothing is to be remembered about blocks: the replica is complete
   */
  Durability(BlockFile file, HeldBlocks held, HeldJournal journal, DiskTasks tasks) {
    this.file = file;
    this.held = held;
    this.journal = journal;
    this.tasks = tasks;
  }

  /** Calls {@code done} when everything completed before is durable, with null, or failed. */
  void force(Consumer<IOException> done) {
    next.add(done);
    if (!running) {
      round();
    }
  }

  private void round() {
    running = true;
    List<Consumer<IOException>> waiting = next;
    next = new ArrayList<>();
    // Taken before the force: these blocks' writes are complete, so the force covers their data.
    BlockMap newlyHeld = held.takePending();
    file.force(
        error -> {
          if (error != null || newlyHeld == null || journal == null) {
            finish(waiting, newlyHeld, error);
          } else {
            tasks.run(
                () -> {
                  journal.append(newlyHeld);
                  return null;
                },
                (nothing, appendError) -> finish(waiting, newlyHeld, appendError));
          }
        });
  }

  private void finish(List<Consumer<IOException>> waiting, BlockMap newlyHeld, IOException error) {
    running = false;
    if (error != null && newlyHeld != null) {
      // There may be space for them later: a flush that succeeds then covers them too.
      held.giveBack(newlyHeld);
    }
    if (!next.isEmpty()) {
      round();
    }
    for (Consumer<IOException> done : waiting) {
      done.accept(error);
    }
  }
}
