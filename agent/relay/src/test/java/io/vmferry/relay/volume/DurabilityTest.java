// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.volume;

import static org.assertj.core.api.Assertions.assertThat;

import io.vmferry.api.Epoch;
import io.vmferry.relay.exec.DiskTasks;
import io.vmferry.relay.map.BlockGrid;
import io.vmferry.relay.map.HeapBlockMap;
import io.vmferry.relay.sim.VirtualTime;
import io.vmferry.relay.store.DiskErrors;
import io.vmferry.relay.store.HeldJournal;
import io.vmferry.relay.store.MemoryBlockFile;
import io.vmferry.relay.store.MemoryBlockFile.Kind;
import io.vmferry.relay.store.MemoryFileOps;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.List;
import java.util.Queue;
import java.util.UUID;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** Data, then bit, then reply. */
final class DurabilityTest {
  private static final int BLOCKS = 4;

  private final VirtualTime time = new VirtualTime();
  private final Queue<Runnable> disk = new ArrayDeque<>();
  private final BlockGrid grid = new BlockGrid(BLOCKS * BlockGrid.BLOCK);
  private final MemoryBlockFile file = new MemoryBlockFile(BLOCKS * BlockGrid.BLOCK);
  private final HeldBlocks held = HeldBlocks.none(grid);
  private final MemoryFileOps ops = new MemoryFileOps();
  private final List<String> replies = new ArrayList<>();
  private HeldJournal journal;
  private Durability durability;

  @BeforeEach
  void start() throws IOException {
    journal =
        HeldJournal.create(
            ops, Path.of("/v"), new UUID(1, 2), new Epoch(1, "a"), HeapBlockMap.allClear(BLOCKS));
    durability = new Durability(file, held, journal, new DiskTasks(disk::add, time.new NodeLoop()));
    file.hold();
  }

  private void force(String who) {
    durability.force(error -> replies.add(who + (error == null ? "" : " failed")));
  }

  private void diskDoesOne() {
    disk.remove().run();
    time.run(Duration.ZERO);
  }

  @Test
  void x10r8DataThenBitThenReply() {
    held.hold(0, 1);
    force("a");
    assertThat(disk).isEmpty();
    assertThat(journal.held().get(0)).isFalse();
    file.release(0);
    assertThat(replies).isEmpty();
    disk.peek().run();
    assertThat(journal.held().get(0)).isTrue();
    assertThat(replies).isEmpty();
    time.run(Duration.ZERO);
    assertThat(replies).containsExactly("a");
  }

  @Test
  void withoutNewBlocksTheJournalIsNotTouched() {
    force("a");
    file.release(0);
    assertThat(disk).isEmpty();
    assertThat(replies).containsExactly("a");
  }

  @Test
  void whoComesDuringARoundWaitsForTheNextWhichAllShare() {
    force("a");
    force("b");
    force("c");
    assertThat(file.held()).hasSize(1);
    file.release(0);
    assertThat(replies).containsExactly("a");
    assertThat(file.held()).hasSize(1);
    file.release(0);
    assertThat(replies).containsExactly("a", "b", "c");
    assertThat(file.held()).isEmpty();
  }

  @Test
  void r8ABlockThatCameDuringTheForceIsNotJournaledByItsRound() {
    held.hold(0, 1);
    force("a");
    held.hold(1, 2);
    file.release(0);
    diskDoesOne();
    assertThat(journal.held().get(0)).isTrue();
    assertThat(journal.held().get(1)).as("its data may not be durable").isFalse();
  }

  @Test
  void aFailedForceWritesNoBitAndTellsAll() {
    held.hold(0, 1);
    file.flow();
    file.failNext(Kind.FORCE, DiskErrors.io());
    force("a");
    assertThat(replies).containsExactly("a failed");
    assertThat(journal.held().cardinality()).isZero();
  }

  @Test
  void bitsOfAFailedAppendAreWrittenByTheNextRound() {
    held.hold(0, 1);
    ops.failAt(ops.operations(), DiskErrors.noSpace(), false);
    force("a");
    file.release(0);
    diskDoesOne();
    assertThat(replies).containsExactly("a failed");

    force("b");
    file.release(0);
    diskDoesOne();
    assertThat(replies).containsExactly("a failed", "b");
    assertThat(journal.held().get(0)).isTrue();
  }
}
