// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.crash;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.vmferry.relay.history.BlockHistory;
import io.vmferry.relay.store.BrokenFileException;
import io.vmferry.relay.store.ImageHash;
import io.vmferry.relay.store.LossModel;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.junit.jupiter.api.Test;

/**
 * All that a small replica can live through: every sequence of up to three steps on two blocks, one
 * after the other and overlapping, with a crash before each primitive operation on disk or tmpfs
 * and in the middle of each write of data, and each way to lose what was not forced. For up to two
 * steps also with a second crash at each operation of the recovery.
 *
 * <p>After each of them the real recovery must give a disk that a guest can't tell from one that
 * keeps its word: {@link BlockHistory} says which contents are possible.
 */
final class CrashMatrixTest {
  private static final CrashStep[] STEPS = CrashStep.values();
  private static final int MAX_STEPS = 3;

  /** Of a log: its header, and where its records begin; the marks between may be torn. */
  private static final int LOG_HEADER_BYTES = 36;

  private static final int LOG_RECORDS_AT = 4096;

  /** How the last two steps of a sequence relate. */
  private enum Order {
    ONE_AFTER_THE_OTHER,
    TOGETHER,
    TOGETHER_AND_REVERSED
  }

  /** One way to crash. */
  private record Crash(String name, LossModel loss) {
    boolean kill() {
      return loss == null;
    }

    CrashDisk of(CrashDisk disk) {
      CrashDisk copy = new CrashDisk(disk);
      if (kill()) {
        copy.kill();
      } else {
        copy.losePower(loss);
      }
      return copy;
    }
  }

  private static final Crash KILL = new Crash("relay killed", null);
  private static final Crash ALL_LOST =
      new Crash("power lost, all unforced gone", LossModel.everything());
  private static final Crash NOTHING_LOST =
      new Crash("power lost, all unforced kept", LossModel.nothing());

  /** What recoveries from one image of disk and tmpfs give. */
  private static final class Outcome {
    /** Null before the takeover is committed. */
    long[] content;

    /** After a power loss in the middle of the recovery. */
    final List<long[]> afterPowerLoss = new ArrayList<>();
  }

  /** Disks with promises that were tried. */
  private final Set<Long> known = new HashSet<>();

  private final Map<Long, Outcome> outcomes = new HashMap<>();
  private final Map<Long, long[]> contents = new HashMap<>();
  private CrashNode.Start start;
  private List<CrashStep> sequence;
  private Order order;
  private long points;
  private long states;
  private long distinct;
  private long images;
  private long secondCrashes;
  private long lastPoint;

  @Test
  void noCrashLosesWhatWasPromised() throws IOException {
    long began = System.nanoTime();
    begin(CrashNode.Start.RETURNING);
    for (CrashStep step : STEPS) {
      one(step);
    }
    begin(CrashNode.Start.NEW);
    for (CrashStep first : STEPS) {
      one(first);
      for (CrashStep second : STEPS) {
        one(first, second);
      }
    }
    for (CrashStep first : STEPS) {
      for (CrashStep second : STEPS) {
        for (CrashStep third : STEPS) {
          one(first, second, third);
        }
      }
    }
    System.out.printf(
        "crash matrix: %d crash points, %d states after a crash, %d of them distinct (%d disk images),"
            + " %d second crashes; %.1f s%n",
        points, states, distinct, images, secondCrashes, (System.nanoTime() - began) / 1e9);
    assertThat(distinct).isGreaterThan(10_000);
  }

  private void begin(CrashNode.Start newStart) throws IOException {
    start = newStart;
    known.clear();
    outcomes.clear();
    contents.clear();
    one();
  }

  @Test
  void aDamagedFileIsRefused() throws IOException {
    start = CrashNode.Start.NEW;
    CrashDisk disk = new CrashDisk();
    CrashNode node = CrashNode.standby(disk, start);
    node.takeOver();
    node.step(CrashStep.WRITE_FUA_0, 1);
    int refused = 0;
    for (Path path : disk.ops().files()) {
      byte[] sound = disk.ops().content(path);
      boolean log = path.toString().endsWith(".log");
      for (int bit = 0; bit < sound.length * Byte.SIZE; bit++) {
        int at = bit / Byte.SIZE;
        if (log && at >= LOG_HEADER_BYTES && at < LOG_RECORDS_AT) {
          continue;
        }
        byte[] damaged = sound.clone();
        damaged[at] ^= (byte) (1 << bit % Byte.SIZE);
        CrashDisk left = ALL_LOST.of(disk);
        left.ops().put(path, damaged);
        assertThatThrownBy(() -> CrashNode.restarted(left, start.originContent()))
            .as("bit %s of %s", bit, path)
            .isInstanceOf(BrokenFileException.class)
            .hasMessageContaining(path.toString());
        refused++;
      }
    }
    assertThat(refused).isGreaterThan(2_000);
  }

  private void one(CrashStep... steps) throws IOException {
    sequence = List.of(steps);
    for (Order each : steps.length < 2 ? new Order[] {Order.ONE_AFTER_THE_OTHER} : Order.values()) {
      order = each;
      try {
        live();
      } catch (RuntimeException | AssertionError e) {
        throw new AssertionError(start + " " + sequence + " " + order + ": " + e.getMessage(), e);
      }
    }
  }

  /** The crash points of the beginning were tried with the shorter sequences. */
  private void live() throws IOException {
    CrashDisk disk = new CrashDisk();
    CrashNode node = CrashNode.standby(disk, start);
    if (sequence.isEmpty()) {
      watch(disk, node);
    }
    node.takeOver();
    int alone = order == Order.ONE_AFTER_THE_OTHER ? sequence.size() : sequence.size() - 2;
    for (int i = 0; i < alone; i++) {
      if (i == sequence.size() - 1) {
        watch(disk, node);
      }
      node.step(sequence.get(i), i + 1);
    }
    if (alone < sequence.size()) {
      watch(disk, node);
      node.together(
          sequence.get(alone),
          sequence.get(alone + 1),
          alone + 1,
          order == Order.TOGETHER_AND_REVERSED);
    }
    crashHere(disk, node);
  }

  private void watch(CrashDisk disk, CrashNode node) {
    lastPoint = 0;
    disk.watch(() -> crashHere(disk, node));
  }

  private void crashHere(CrashDisk disk, CrashNode node) {
    long point = disk.image();
    if (node.history() != null) {
      point = ImageHash.mix(point, promises(node.history()));
    }
    if (point == lastPoint) {
      return; // nothing was changed or told since
    }
    lastPoint = point;
    points++;
    states += crashes(disk.unforced()).size();
    if (!known.add(point)) {
      return; // the same disk with the same promises, after another sequence
    }
    try {
      for (Crash crash : crashes(disk.unforced())) {
        check(disk, node.history(), crash);
      }
    } catch (IOException e) {
      throw new AssertionError(e);
    }
  }

  private static long promises(BlockHistory history) {
    long hash = 0;
    for (int sector = 0; sector < CrashNode.SECTORS; sector++) {
      for (long value : history.possible(sector)) {
        hash = ImageHash.mix(hash, value);
      }
      for (long value : history.possibleAfterPowerLoss(sector)) {
        hash = ImageHash.mix(hash, -value - 1);
      }
    }
    return hash;
  }

  private static List<Crash> crashes(int unforced) {
    List<Crash> crashes = new ArrayList<>(List.of(KILL, NOTHING_LOST, ALL_LOST));
    for (int i = 0; i < unforced; i++) {
      for (LossModel.Fate fate :
          List.of(LossModel.Fate.LOST, LossModel.Fate.TORN_HEAD, LossModel.Fate.TORN_TAIL)) {
        crashes.add(
            new Crash("power lost, unforced change " + i + " " + fate, LossModel.single(i, fate)));
      }
    }
    return crashes;
  }

  private void check(CrashDisk disk, BlockHistory guest, Crash crash) throws IOException {
    distinct++;
    CrashDisk left = crash.of(disk);
    Outcome outcome;
    try {
      outcome = outcomeOf(left, crash);
    } catch (IOException | AssertionError | RuntimeException e) {
      throw new AssertionError(where(disk, crash) + ": " + e.getMessage(), e);
    }
    if (outcome.content == null) {
      assertThat(guest).as("%s: it is not the owner any more", where(disk, crash)).isNull();
      return;
    }
    BlockHistory history = guest == null ? new BlockHistory(start.originContent()) : guest;
    for (int sector = 0; sector < outcome.content.length; sector++) {
      boolean legal =
          crash.kill()
              ? history.mayHold(sector, outcome.content[sector])
              : history.mayHoldAfterPowerLoss(sector, outcome.content[sector]);
      if (!legal) {
        throw wrong(disk, history, crash, "", sector, outcome.content[sector]);
      }
      for (long[] second : outcome.afterPowerLoss) {
        if (!history.mayHoldAfterPowerLoss(sector, second[sector])) {
          throw wrong(
              disk, history, crash, ", then power lost in the recovery", sector, second[sector]);
        }
      }
    }
  }

  private AssertionError wrong(
      CrashDisk disk, BlockHistory history, Crash crash, String more, int sector, long found) {
    return new AssertionError(
        where(disk, crash)
            + more
            + ": sector "
            + sector
            + " holds "
            + found
            + "; possible for the process "
            + history.possible(sector)
            + ", after a power loss "
            + history.possibleAfterPowerLoss(sector));
  }

  private String where(CrashDisk disk, Crash crash) {
    return "crash point "
        + points
        + " ("
        + disk.unforced()
        + " unforced; last file operations "
        + lastOf(disk.ops().log())
        + "), "
        + crash.name();
  }

  private static List<String> lastOf(List<String> log) {
    return log.subList(Math.max(0, log.size() - 4), log.size());
  }

  private Outcome outcomeOf(CrashDisk left, Crash crash) throws IOException {
    long image = left.image();
    Outcome outcome = outcomes.get(image);
    if (outcome == null) {
      outcome = recover(left, crash);
      outcomes.put(image, outcome);
      images++;
    }
    return outcome;
  }

  /**
   * Recovers, then, after sequences of up to two steps, once more with a second crash at each
   * operation of the recovery.
   */
  private Outcome recover(CrashDisk left, Crash first) throws IOException {
    Outcome outcome = new Outcome();
    CrashDisk working = new CrashDisk(left);
    List<CrashDisk> moments = new ArrayList<>();
    long[] last = new long[1];
    boolean crashAgain = sequence.size() < MAX_STEPS;
    working.watch(
        () -> {
          long image = crashAgain ? working.image() : 0;
          if (crashAgain && image != last[0]) {
            last[0] = image;
            moments.add(new CrashDisk(working));
          }
        });
    CrashNode node = CrashNode.restarted(working, start.originContent());
    outcome.content = node.content();
    working.watch(() -> {});
    moments.add(new CrashDisk(working));
    for (CrashDisk moment : moments) {
      for (Crash second : List.of(KILL, ALL_LOST)) {
        secondCrashes++;
        long[] found = contentOf(second.of(moment));
        if (second.kill() || !first.kill()) {
          assertThat(found)
              .as("%s in the recovery: the second recovery gives the same", second.name())
              .isEqualTo(outcome.content);
        } else if (found != null
            && outcome.afterPowerLoss.stream().noneMatch(each -> Arrays.equals(each, found))) {
          outcome.afterPowerLoss.add(found);
        }
      }
    }
    if (outcome.content != null) {
      goesOn(working, node, outcome.content);
    }
    return outcome;
  }

  private long[] contentOf(CrashDisk left) throws IOException {
    long image = left.image();
    if (!contents.containsKey(image)) {
      contents.put(image, CrashNode.restarted(left, start.originContent()).content());
    }
    return contents.get(image);
  }

  /**
   * What a recovered replica has is durable after a flush; it becomes complete with the same
   * content, and stays so.
   */
  private void goesOn(CrashDisk disk, CrashNode node, long[] content) throws IOException {
    node.flush();
    assertThat(contentOf(ALL_LOST.of(disk)))
        .as("content after recovery, flush and power loss")
        .isEqualTo(content);
    node.complete();
    assertThat(node.isComplete()).as("it becomes complete").isTrue();
    assertThat(node.content()).as("content when complete").isEqualTo(content);
    CrashNode later = CrashNode.restarted(ALL_LOST.of(disk), new long[CrashNode.SECTORS]);
    assertThat(later.isComplete()).as("it stays complete").isTrue();
    assertThat(later.content()).as("content when complete, after a power loss").isEqualTo(content);
  }
}
