// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.store;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.vmferry.api.Epoch;
import io.vmferry.relay.map.HeapBlockMap;
import java.io.IOException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Path;
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
  void anAppendCostsOneWriteAndOneForce() throws IOException {
    HeldJournal journal = create();
    int before = ops.operations();

    journal.append(blocks(0, 10));

    assertThat(ops.operations()).isEqualTo(before + 2);
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

  @Test
  void cutsATornTail() throws IOException {
    int first = twoRecords();
    Path log = logFile();
    byte[] sound = ops.content(log);
    for (int length = first; length < sound.length; length++) {
      MemoryFileOps disk = copyOf(ops);
      disk.put(log, Arrays.copyOf(sound, length));
      HeldJournal journal = HeldJournal.open(disk, DIRECTORY, ID, BLOCKS).orElseThrow();
      assertThat(journal.held().cardinality()).isEqualTo(10);
    }
  }

  @Test
  void refusesEachFlippedBitBeforeASoundRecord() throws IOException {
    int first = twoRecords();
    Path log = logFile();
    byte[] sound = ops.content(log);
    for (int bit = 0; bit < first * 8; bit++) {
      byte[] flipped = sound.clone();
      flipped[bit / 8] ^= (byte) (1 << bit % 8);
      MemoryFileOps disk = copyOf(ops);
      disk.put(log, flipped);
      assertThatThrownBy(() -> HeldJournal.open(disk, DIRECTORY, ID, BLOCKS))
          .as("bit %d", bit)
          .isInstanceOf(BrokenFileException.class);
    }
  }

  @Test
  void neverTakesAFlippedBitOfTheLastRecordForABlock() throws IOException {
    int first = twoRecords();
    Path log = logFile();
    byte[] sound = ops.content(log);
    for (int bit = first * 8; bit < sound.length * 8; bit++) {
      byte[] flipped = sound.clone();
      flipped[bit / 8] ^= (byte) (1 << bit % 8);
      MemoryFileOps disk = copyOf(ops);
      disk.put(log, flipped);
      HeldJournal journal = HeldJournal.open(disk, DIRECTORY, ID, BLOCKS).orElseThrow();
      assertThat(journal.held().cardinality()).as("bit %d", bit).isEqualTo(10);
    }
  }

  @Test
  void refusesALogWithARecordMissing() throws IOException {
    HeldJournal journal = create();
    int header = ops.content(logFile()).length;
    journal.append(blocks(0, 10));
    int first = ops.content(logFile()).length;
    journal.append(blocks(20, 30));
    byte[] sound = ops.content(logFile());
    byte[] without = Arrays.copyOf(sound, header + sound.length - first);
    System.arraycopy(sound, first, without, header, sound.length - first);
    ops.put(logFile(), without);

    assertThatThrownBy(this::open).hasMessageContaining("one is missing");
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

    assertThat(ops.content(logFile()).length).isEqualTo(HeldLog.HEADER_BYTES);
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

    assertThat(ops.content(logFile()).length).isEqualTo(HeldLog.HEADER_BYTES);
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
    // Write and force of the record succeed; creating the next log doesn't.
    ops.failAt(ops.operations() + 2, new ErrnoException(Errno.ENOSPC, "open", "x"), false);
    journal.append(scattered(many, 2));
    journal.append(scattered(many, 3));

    assertThat(ops.content(logFile()).length).isGreaterThan(HeldLog.HEADER_BYTES);
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
