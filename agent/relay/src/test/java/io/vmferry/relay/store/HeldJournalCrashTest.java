// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.store;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.vmferry.api.Epoch;
import io.vmferry.relay.map.HeapBlockMap;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.UUID;
import org.junit.jupiter.api.Test;

/**
 * Power loss at each primitive operation of a journal's life, with each way to lose the unforced;
 * then a second one at each operation of the recovery.
 */
final class HeldJournalCrashTest {

  private static final Path DIRECTORY = Path.of("/volumes/web");
  private static final Path CHECKPOINT = DIRECTORY.resolve("held.map");
  private static final UUID ID = new UUID(1, 2);

  /** Small, but each record longer than a sector, so that it can be torn. */
  private static final long BLOCKS = 8_192;

  /** What a journal may contain: epoch number and which of the appended parts. */
  private record State(long epoch, int parts) {}

  /** One step: append a part, or reset to a part in the next epoch. */
  private record Step(boolean reset, int part) {}

  private static final List<Step> LIFE =
      List.of(
          new Step(false, 0),
          new Step(false, 1),
          new Step(true, 2),
          new Step(false, 3),
          new Step(true, 0),
          new Step(false, 1));

  /** Scattered blocks that belong to no other part: all that are the part's number modulo 4. */
  private static HeapBlockMap part(int number) {
    HeapBlockMap map = HeapBlockMap.allClear(BLOCKS);
    for (long block = number; block < BLOCKS; block += 4) {
      map.set(block, block + 1);
    }
    return map;
  }

  /** The states before and after the step under way; equal if none is. */
  private static final class Expected {
    State before = new State(0, 0);
    State after = new State(1, 0);
  }

  private static Expected live(FileOps ops) throws IOException {
    Expected expected = new Expected();
    try {
      HeldJournal journal =
          HeldJournal.create(ops, DIRECTORY, ID, new Epoch(1, "a"), HeapBlockMap.allClear(BLOCKS));
      expected.before = expected.after;
      for (Step step : LIFE) {
        State now = expected.before;
        if (step.reset()) {
          expected.after = new State(now.epoch() + 1, 1 << step.part());
          journal.reset(new Epoch(now.epoch() + 1, "a"), part(step.part()));
        } else {
          expected.after = new State(now.epoch(), now.parts() | 1 << step.part());
          journal.append(part(step.part()));
        }
        expected.before = expected.after;
      }
    } catch (MemoryFileOps.Crash e) {
      return expected;
    }
    return expected;
  }

  private static State recover(FileOps ops) throws IOException {
    Optional<HeldJournal> journal = HeldJournal.open(ops, DIRECTORY, ID, BLOCKS);
    if (journal.isEmpty()) {
      return new State(0, 0);
    }
    HeapBlockMap held = journal.get().held();
    int parts = 0;
    for (int number = 0; number < 4; number++) {
      if (held.get(number)) {
        parts |= 1 << number;
      }
    }
    for (long block = 0; block < BLOCKS; block++) {
      if (held.get(block) != ((parts >>> (block % 4) & 1) != 0)) {
        throw new AssertionError("block " + block + " isn't like the rest of its part");
      }
    }
    return new State(journal.get().epoch().number(), parts);
  }

  private static int tryAll(String skipped) throws IOException {
    int states = 0;
    int operations = operationsOf(skipped);
    for (int crashAt = 0; crashAt <= operations; crashAt++) {
      for (int model = 0; ; model++) {
        MemoryFileOps ops = new MemoryFileOps();
        ops.skip(skipped);
        ops.crashAt(crashAt);
        Expected expected = live(ops);
        List<LossModel> models = LossModel.all(ops.unforced());
        if (model == models.size()) {
          break;
        }
        ops.crash(models.get(model));
        State found = recover(ops);
        assertThat(found).as("%s", ops.log()).isIn(expected.before, expected.after);
        ops.crash(LossModel.everything());
        assertThat(recover(ops)).as("again: %s", ops.log()).isEqualTo(found);
        states++;
      }
    }
    return states;
  }

  private static int operationsOf(String skipped) throws IOException {
    MemoryFileOps ops = new MemoryFileOps();
    ops.skip(skipped);
    live(ops);
    return ops.operations();
  }

  @Test
  void keepsWhatReturnedAndInventsNothing() throws IOException {
    assertThat(tryAll("nothing")).isGreaterThan(250);
  }

  @Test
  void recoveryMayCrashAtEachOperationToo() throws IOException {
    int operations = operationsOf("nothing");
    for (int crashAt = 0; crashAt <= operations; crashAt++) {
      boolean finished = false;
      for (int second = 0; !finished; second++) {
        for (LossModel loss : List.of(LossModel.nothing(), LossModel.everything())) {
          MemoryFileOps ops = new MemoryFileOps();
          ops.crashAt(crashAt);
          Expected expected = live(ops);
          ops.crash(loss);
          ops.crashAt(ops.operations() + second);
          try {
            recover(ops);
            finished = true;
          } catch (MemoryFileOps.Crash e) {
            finished = false;
          }
          ops.crash(LossModel.random(second));
          assertThat(recover(ops)).as("%s", ops.log()).isIn(expected.before, expected.after);
        }
      }
    }
  }

  /** A killed process: the page cache shows what no force has covered. */
  @Test
  void whatWasSeenAfterAKillSurvivesAPowerLoss() throws IOException {
    int operations = operationsOf("nothing");
    for (int crashAt = 0; crashAt <= operations; crashAt++) {
      MemoryFileOps ops = new MemoryFileOps();
      ops.crashAt(crashAt);
      Expected expected = live(ops);
      ops.crashAt(Integer.MAX_VALUE);
      State seen = recover(ops);
      assertThat(seen).isIn(expected.before, expected.after);

      ops.crash(LossModel.everything());

      assertThat(recover(ops)).as("%s", ops.log()).isEqualTo(seen);
    }
  }

  @Test
  void anInterruptedDeleteLeavesAllOrNothing() throws IOException {
    int operations = operationsOf("nothing");
    for (int crashAt = 0; crashAt <= 20; crashAt++) {
      for (int model = 0; ; model++) {
        MemoryFileOps ops = new MemoryFileOps();
        Expected expected = live(ops);
        HeldJournal journal = HeldJournal.open(ops, DIRECTORY, ID, BLOCKS).orElseThrow();
        ops.crashAt(ops.operations() + crashAt);
        boolean returned = false;
        try {
          journal.delete();
          returned = true;
        } catch (MemoryFileOps.Crash e) {
          assertThat(ops.operations()).isGreaterThan(operations);
        }
        List<LossModel> models = LossModel.all(ops.unforced());
        if (model == models.size()) {
          break;
        }
        ops.crash(models.get(model));
        assertThat(recover(ops))
            .as("%s", ops.log())
            .isIn(new State(0, 0), returned ? new State(0, 0) : expected.before);
      }
    }
  }

  /**
   * What a crash left is never taken for damage: each state of the tests above was recovered. Here
   * the other half: after each crash that the last append survived with its mark, losing that
   * append's record is noticed.
   */
  @Test
  void damageToADurableRecordIsToldFromACrash() throws IOException {
    int operations = operationsOf("nothing");
    int damaged = 0;
    for (int crashAt = 0; crashAt <= operations; crashAt++) {
      for (LossModel loss : List.of(LossModel.nothing(), LossModel.everything())) {
        MemoryFileOps ops = new MemoryFileOps();
        ops.crashAt(crashAt);
        live(ops);
        ops.crash(loss);
        damaged += damageLastMarked(ops);
      }
    }
    assertThat(damaged).isGreaterThan(20);
  }

  /** Damages the record of the last mark of the checkpoint's log; returns 0 if it has none. */
  private static int damageLastMarked(MemoryFileOps ops) throws IOException {
    if (!ops.files().contains(CHECKPOINT)) {
      return 0;
    }
    byte[] checkpoint = ops.content(CHECKPOINT);
    Path log = DIRECTORY.resolve("held-" + sequence(checkpoint) + ".log");
    byte[] broken = ops.content(log);
    int marked = marks(broken);
    if (marked == 0) {
      return 0;
    }
    int at = HeldLog.RECORDS_AT;
    for (int number = 1; number < marked; number++) {
      at += HeldLog.RECORD_OVERHEAD_BYTES + ByteBuffer.wrap(broken).getInt(at + 4);
    }
    broken[at + 40] ^= 4;
    MemoryFileOps disk = new MemoryFileOps();
    disk.put(log, broken);
    disk.put(CHECKPOINT, checkpoint);
    assertThatThrownBy(() -> HeldJournal.open(disk, DIRECTORY, ID, BLOCKS))
        .as("damage of record %s of %s", marked, ops.log())
        .isInstanceOf(BrokenFileException.class)
        .hasMessageContaining("was durable");
    return 1;
  }

  private static long sequence(byte[] checkpoint) {
    int line = new String(checkpoint, StandardCharsets.ISO_8859_1).indexOf('\n');
    return ByteBuffer.wrap(checkpoint).getLong(line + 1);
  }

  /** The highest number in the places of the marks. */
  private static int marks(byte[] log) {
    ByteBuffer bytes = ByteBuffer.wrap(log);
    return (int)
        Math.max(bytes.getLong((int) HeldLog.markAt(0)), bytes.getLong((int) HeldLog.markAt(1)));
  }

  @Test
  void thisTestNoticesAMissingForce() {
    assertThatThrownBy(() -> tryAll("force"))
        .isInstanceOfAny(AssertionError.class, IOException.class);
  }

  @Test
  void thisTestNoticesAMissingDirectoryForce() {
    assertThatThrownBy(() -> tryAll("forceDirectory"))
        .isInstanceOfAny(AssertionError.class, IOException.class);
  }
}
