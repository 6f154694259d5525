// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.store;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.vmferry.api.Epoch;
import io.vmferry.relay.map.HeapBlockMap;
import java.io.IOException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.UUID;
import org.junit.jupiter.api.Test;

final class HeldJournalTest {

  private static final Path DIRECTORY = Path.of("/volumes/web");
  private static final UUID ID = new UUID(1, 2);
  private static final Epoch EPOCH = new Epoch(3, "alpha");
  private static final long BLOCKS = 100_000;
  private static final int LOG_HEADER_BYTES = 36;

  private final MemoryFileOps ops = new MemoryFileOps();

  private static HeapBlockMap blocks(long from, long to) {
    HeapBlockMap map = HeapBlockMap.allClear(BLOCKS);
    map.set(from, to);
    return map;
  }

  private HeldJournal create() throws IOException {
    return HeldJournal.create(ops, DIRECTORY, ID, EPOCH, HeapBlockMap.allClear(BLOCKS));
  }

  private HeldJournal open() throws IOException {
    return HeldJournal.open(ops, DIRECTORY, ID, BLOCKS).orElseThrow();
  }

  private Path logFile() throws IOException {
    List<Path> logs =
        ops.list(DIRECTORY).stream().filter(p -> p.toString().endsWith(".log")).toList();
    assertThat(logs).hasSize(1);
    return logs.get(0);
  }

  /** A journal with two records; returns the length of its log after the first. */
  private int twoRecords() throws IOException {
    HeldJournal journal = create();
    journal.append(blocks(0, 10));
    int first = ops.content(logFile()).length;
    journal.append(blocks(20, 30));
    return first;
  }

  @Test
  void missingIsEmpty() throws IOException {
    assertThat(HeldJournal.open(ops, DIRECTORY, ID, BLOCKS)).isEmpty();
  }

  @Test
  void givesBackWhatWasAppended() throws IOException {
    twoRecords();

    HeldJournal journal = open();

    assertThat(journal.epoch()).isEqualTo(EPOCH);
    assertThat(journal.held().cardinality()).isEqualTo(20);
    assertThat(journal.held().allSet(20, 30)).isTrue();
  }

  @Test
  void goesOnAfterOpening() throws IOException {
    twoRecords();
    open().append(blocks(50, 60));

    assertThat(open().held().cardinality()).isEqualTo(30);
    assertThat(logFile()).isNotNull();
  }

  @Test
  void anEmptyAppendDoesNothing() throws IOException {
    HeldJournal journal = create();
    int before = ops.operations();

    journal.append(HeapBlockMap.allClear(BLOCKS));

    assertThat(ops.operations()).isEqualTo(before);
  }

  @Test
  void anAppendCostsOneForceBetweenItsRecordAndTheMark() throws IOException {
    HeldJournal journal = create();
    int before = ops.operations();

    journal.append(blocks(0, 10));

    assertThat(ops.log().subList(before, ops.operations()))
        .extracting(line -> line.replaceAll("^[0-9]+ | .*", ""))
        .containsExactly("write", "force", "overwrite");
  }

  @Test
  void resetReplacesEverything() throws IOException {
    HeldJournal journal = create();
    journal.append(blocks(0, 10));
    journal.reset(new Epoch(4, "beta"), blocks(5, 7));
    journal.append(blocks(90, 91));

    HeldJournal again = open();

    assertThat(again.epoch()).isEqualTo(new Epoch(4, "beta"));
    assertThat(again.held().cardinality()).isEqualTo(3);
  }

  @Test
  void createRefusesToReplace() throws IOException {
    create();

    assertThatThrownBy(this::create).isInstanceOf(FileAlreadyExistsException.class);
  }

  @Test
  void deletedIsMissing() throws IOException {
    HeldJournal journal = create();
    journal.delete();

    assertThat(HeldJournal.open(ops, DIRECTORY, ID, BLOCKS)).isEmpty();
    assertThat(ops.list(DIRECTORY)).isEmpty();
    assertThatThrownBy(() -> journal.append(blocks(0, 1))).hasMessageContaining("deleted");
  }

  @Test
  void closedRefuses() throws IOException {
    HeldJournal journal = create();
    journal.close();

    assertThatThrownBy(() -> journal.append(blocks(0, 1))).hasMessageContaining("closed");
  }

  @Test
  void refusesMapsOfAnotherSize() throws IOException {
    HeldJournal journal = create();

    assertThatThrownBy(() -> journal.append(HeapBlockMap.allSet(5)))
        .isInstanceOf(IllegalArgumentException.class);
  }

  @Test
  void refusesTheJournalOfAnotherVolume() throws IOException {
    create();

    assertThatThrownBy(() -> HeldJournal.open(ops, DIRECTORY, new UUID(9, 9), BLOCKS))
        .isInstanceOf(BrokenFileException.class)
        .hasMessageContaining("belongs to volume");
  }

  @Test
  void refusesAnotherNumberOfBlocks() throws IOException {
    create();

    assertThatThrownBy(() -> HeldJournal.open(ops, DIRECTORY, ID, BLOCKS + 1))
        .isInstanceOf(BrokenFileException.class)
        .hasMessageContaining("blocks where the volume has");
  }

  @Test
  void refusesACheckpointWithoutItsLog() throws IOException {
    create();
    ops.delete(logFile());

    assertThatThrownBy(this::open).hasMessageContaining("log of the checkpoint is missing");
  }

  /** The log as it was before the force of its second record, which is all there. */
  private byte[] secondRecordUnforced() throws IOException {
    HeldJournal journal = create();
    journal.append(blocks(0, 10));
    byte[] marked = ops.content(logFile());
    journal.append(blocks(20, 30));
    byte[] unforced = ops.content(logFile());
    System.arraycopy(marked, 0, unforced, 0, marked.length);
    return unforced;
  }

  @Test
  void cutsATornTail() throws IOException {
    byte[] unforced = secondRecordUnforced();
    int first = twoRecordsEndOfFirst(unforced);
    for (int length = first; length < unforced.length; length++) {
      assertThat(openWith(Arrays.copyOf(unforced, length)).held().cardinality())
          .as("length %d", length)
          .isEqualTo(10);
    }
  }

  /** Both records are of the same length. */
  private static int twoRecordsEndOfFirst(byte[] log) {
    return HeldLog.RECORDS_AT + (log.length - HeldLog.RECORDS_AT) / 2;
  }

  /** The journal on a disk whose log has that content. */
  private HeldJournal openWith(byte[] log) throws IOException {
    MemoryFileOps disk = copyOf(ops);
    disk.put(logFile(), log);
    return HeldJournal.open(disk, DIRECTORY, ID, BLOCKS).orElseThrow();
  }

  @Test
  void neverTakesAFlippedBitOfAnUnforcedRecordForABlock() throws IOException {
    byte[] unforced = secondRecordUnforced();
    for (int bit = twoRecordsEndOfFirst(unforced) * 8; bit < unforced.length * 8; bit++) {
      assertThat(openWith(flipped(unforced, bit)).held().cardinality())
          .as("bit %d", bit)
          .isEqualTo(10);
    }
  }

  @Test
  void refusesEachFlippedBitOfHeaderAndForcedRecords() throws IOException {
    twoRecords();
    byte[] sound = ops.content(logFile());
    List<Integer> bytes = new ArrayList<>();
    for (int at = 0; at < sound.length; at++) {
      if (at < LOG_HEADER_BYTES || at >= HeldLog.RECORDS_AT) {
        bytes.add(at);
      }
    }
    for (int at : bytes) {
      for (int bit = at * 8; bit < at * 8 + 8; bit++) {
        byte[] flipped = flipped(sound, bit);
        assertThatThrownBy(() -> openWith(flipped))
            .as("bit %d", bit)
            .isInstanceOf(BrokenFileException.class);
      }
    }
  }

  private static byte[] flipped(byte[] sound, int bit) {
    byte[] flipped = sound.clone();
    flipped[bit / 8] ^= (byte) (1 << bit % 8);
    return flipped;
  }

  @Test
  void refusesALogThatLostARecordThatWasForced() throws IOException {
    int first = twoRecords();
    byte[] sound = ops.content(logFile());

    byte[] zeroed = sound.clone();
    Arrays.fill(zeroed, first, zeroed.length, (byte) 0);
    for (byte[] lost : List.of(Arrays.copyOf(sound, first), zeroed)) {
      assertThatThrownBy(() -> openWith(lost))
          .isInstanceOf(BrokenFileException.class)
          .hasMessageContaining("record 2 at byte " + first)
          .hasMessageContaining("was durable")
          .hasMessageContaining(logFile().toString());
    }
  }

  /** A power loss may tear the write of a mark: the one before it still counts. */
  @Test
  void aDamagedMarkLeavesTheOneBefore() throws IOException {
    int first = twoRecords();
    byte[] sound = ops.content(logFile());
    int mark = (int) HeldLog.markAt(2);
    for (int bit = mark * 8; bit < (mark + 12) * 8; bit++) {
      byte[] damaged = flipped(sound, bit);
      assertThat(openWith(damaged).held().cardinality()).as("bit %d", bit).isEqualTo(20);
      damaged[first - 1] ^= 1;
      byte[] twice = damaged;
      assertThatThrownBy(() -> openWith(twice)).as("bit %d", bit).hasMessageContaining("durable");
    }
  }

  @Test
  void aMarkOfAnotherLogIsNone() throws IOException {
    HeldJournal journal = create();
    journal.append(blocks(0, 10));
    byte[] other = ops.content(logFile());
    journal.reset(EPOCH, HeapBlockMap.allClear(BLOCKS));
    byte[] log = ops.content(logFile());
    int mark = (int) HeldLog.markAt(1);
    System.arraycopy(other, mark, log, mark, 12);

    assertThat(openWith(log).held().cardinality()).isZero();
  }

  @Test
  void aLogThatTakesNoMarkIsLeft() throws IOException {
    HeldJournal journal = create();
    Path first = logFile();
    ops.failAt(ops.operations() + 2, new ErrnoException(Errno.EIO, "pwrite", "x"), false);
    journal.append(blocks(0, 10));
    assertThat(open().held().cardinality()).as("the append is good").isEqualTo(10);
    journal.append(blocks(20, 30));

    assertThat(ops.files()).doesNotContain(first);
  }

  @Test
  void refusesALogWithARecordMissing() throws IOException {
    int first = twoRecords();
    byte[] sound = ops.content(logFile());
    int start = HeldLog.RECORDS_AT;
    byte[] without = Arrays.copyOf(sound, start + sound.length - first);
    System.arraycopy(sound, first, without, start, sound.length - first);

    assertThatThrownBy(() -> openWith(without)).hasMessageContaining("one is missing");
  }

  private static MemoryFileOps copyOf(MemoryFileOps source) throws IOException {
    MemoryFileOps copy = new MemoryFileOps();
    for (Path file : source.list(DIRECTORY)) {
      copy.put(file, source.content(file));
    }
    return copy;
  }

  @Test
  void largeAdditionsGoIntoACheckpoint() throws IOException {
    long many = 300L * 32_768;
    HeldJournal journal =
        HeldJournal.create(ops, DIRECTORY, ID, EPOCH, HeapBlockMap.allClear(many));
    HeapBlockMap scattered = HeapBlockMap.allClear(many);
    for (long block = 0; block < many; block += 2) {
      scattered.set(block, block + 1);
    }

    journal.append(scattered);

    assertThat(ops.content(logFile()).length).isEqualTo(HeldLog.RECORDS_AT);
    assertThat(HeldJournal.open(ops, DIRECTORY, ID, many).orElseThrow().held().cardinality())
        .isEqualTo(many / 2);
  }

  /** Appends 400 KiB of scattered blocks, a part of the volume that {@code part} names. */
  private static HeapBlockMap scattered(long many, int part) {
    HeapBlockMap map = HeapBlockMap.allClear(many);
    Random random = new Random(part);
    long size = many / 10;
    for (long block = part * size; block < (part + 1) * size; block++) {
      if (random.nextBoolean()) {
        map.set(block, block + 1);
      }
    }
    return map;
  }

  @Test
  void compactsALogThatHasGrown() throws IOException {
    long many = 1000L * 32_768;
    HeldJournal journal =
        HeldJournal.create(ops, DIRECTORY, ID, EPOCH, HeapBlockMap.allClear(many));
    long expected = 0;
    for (int part = 0; part < 3; part++) {
      HeapBlockMap map = scattered(many, part);
      expected += map.cardinality();
      journal.append(map);
    }

    assertThat(ops.content(logFile()).length).isEqualTo(HeldLog.RECORDS_AT);
    assertThat(HeldJournal.open(ops, DIRECTORY, ID, many).orElseThrow().held().cardinality())
        .isEqualTo(expected);
  }

  @Test
  void anAppendIsGoodEvenIfCompactionFindsNoSpace() throws IOException {
    long many = 1000L * 32_768;
    HeldJournal journal =
        HeldJournal.create(ops, DIRECTORY, ID, EPOCH, HeapBlockMap.allClear(many));
    journal.append(scattered(many, 0));
    journal.append(scattered(many, 1));
    // Write, force and mark of the record succeed; creating the next log doesn't.
    ops.failAt(ops.operations() + 3, new ErrnoException(Errno.ENOSPC, "open", "x"), false);
    journal.append(scattered(many, 2));
    journal.append(scattered(many, 3));

    assertThat(ops.content(logFile()).length).isGreaterThan(HeldLog.RECORDS_AT);
    long held = journal.held().cardinality();
    assertThat(HeldJournal.open(ops, DIRECTORY, ID, many).orElseThrow().held().cardinality())
        .isEqualTo(held);
  }

  @Test
  void aFullDiskMayBeTriedAgain() throws IOException {
    HeldJournal journal = create();
    journal.append(blocks(0, 10));
    ops.failAt(ops.operations(), new ErrnoException(Errno.ENOSPC, "pwrite", "x"), false);

    assertThatThrownBy(() -> journal.append(blocks(20, 30))).hasMessageContaining("ENOSPC");
    journal.append(blocks(20, 30));
    journal.append(blocks(40, 50));

    assertThat(open().held().cardinality()).isEqualTo(30);
  }

  @Test
  void aFailedForcePoisons() throws IOException {
    HeldJournal journal = create();
    ops.failAt(ops.operations() + 1, new IOException("bad sector"), false);

    assertThatThrownBy(() -> journal.append(blocks(0, 10))).hasMessageContaining("bad sector");
    assertThatThrownBy(() -> journal.append(blocks(0, 10))).hasMessageContaining("bad sector");
    assertThatThrownBy(() -> journal.reset(EPOCH, blocks(0, 10)))
        .hasMessageContaining("bad sector");
    assertThat(journal.held().cardinality()).isZero();
  }

  @Test
  void anyFailedForceOfAResetPoisons() throws IOException {
    for (int n = 0; n < 40; n++) {
      MemoryFileOps disk = new MemoryFileOps();
      HeldJournal journal =
          HeldJournal.create(disk, DIRECTORY, ID, EPOCH, HeapBlockMap.allClear(BLOCKS));
      int at = disk.operations() + n;
      disk.failAt(at, new IOException("bad sector"), false);
      try {
        journal.reset(EPOCH.next("beta"), blocks(0, 10));
      } catch (IOException e) {
        if (disk.log().stream().anyMatch(line -> line.startsWith(at + " force"))) {
          assertThatThrownBy(() -> journal.append(blocks(0, 1))).isInstanceOf(IOException.class);
        } else {
          journal.append(blocks(0, 1));
        }
      }
    }
  }
}
