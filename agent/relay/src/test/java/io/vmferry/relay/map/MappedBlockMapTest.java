// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.map;

import static java.nio.charset.StandardCharsets.UTF_8;
import static java.nio.file.StandardOpenOption.WRITE;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.vmferry.api.Epoch;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.UUID;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

final class MappedBlockMapTest {

  private static final long BLOCKS = 100_000;
  private static final MappedBlockMap.Identity IDENTITY =
      new MappedBlockMap.Identity(new UUID(1, 2), new Epoch(7, "alpha"), new UUID(3, 4), BLOCKS);

  @TempDir Path directory;
  private Path path;

  @BeforeEach
  void setUp() {
    path = directory.resolve("map");
  }

  private static MappedBlockMap.Identity with(UUID volume, Epoch epoch, UUID boot, long blocks) {
    return new MappedBlockMap.Identity(volume, epoch, boot, blocks);
  }

  private void createWith(long from, long to) throws IOException {
    try (MappedBlockMap map =
        MappedBlockMap.create(path, IDENTITY, HeapBlockMap.allClear(BLOCKS))) {
      map.set(from, to);
    }
  }

  private void refuses(MappedBlockMap.Identity expected, String reason) throws IOException {
    createWith(5, 10);
    assertThatThrownBy(() -> MappedBlockMap.open(path, expected).close())
        .isInstanceOf(MapRefusedException.class)
        .hasMessageContaining(path.toString())
        .hasMessageContaining(reason);
  }

  @Test
  void changesAreInTheFileAtOnceAsAKilledProcessNeedsThem() throws IOException {
    try (MappedBlockMap map =
        MappedBlockMap.create(path, IDENTITY, HeapBlockMap.allClear(BLOCKS))) {
      map.set(5, 10);
      map.set(40_000, 90_000);
      try (MappedBlockMap other = MappedBlockMap.open(path, IDENTITY)) {
        assertThat(other.cardinality()).isEqualTo(50_005);
        assertThat(other.nextSet(10)).isEqualTo(40_000);
      }
    }
  }

  @Test
  void refusesAnotherVolume() throws IOException {
    refuses(with(new UUID(9, 9), IDENTITY.epoch(), IDENTITY.bootId(), BLOCKS), "volume is");
  }

  @Test
  void refusesAnotherBoot() throws IOException {
    refuses(with(IDENTITY.volume(), IDENTITY.epoch(), new UUID(9, 9), BLOCKS), "boot is");
  }

  @Test
  void refusesAnotherEpochNumber() throws IOException {
    refuses(
        with(IDENTITY.volume(), new Epoch(8, "alpha"), IDENTITY.bootId(), BLOCKS),
        "epoch is 7@alpha and not 8@alpha");
  }

  @Test
  void refusesAnotherOwnerOfTheSameEpoch() throws IOException {
    refuses(
        with(IDENTITY.volume(), new Epoch(7, "beta"), IDENTITY.bootId(), BLOCKS),
        "epoch is 7@alpha and not 7@beta");
  }

  @Test
  void refusesAnotherSize() throws IOException {
    refuses(
        with(IDENTITY.volume(), IDENTITY.epoch(), IDENTITY.bootId(), BLOCKS + 1),
        "number of blocks is");
  }

  @Test
  void missingIsNotRefused() {
    assertThatThrownBy(() -> MappedBlockMap.open(path, IDENTITY))
        .isInstanceOf(NoSuchFileException.class);
  }

  @Test
  void refusesEachFlippedBitOfTheHeader() throws IOException {
    createWith(5, 10);
    byte[] sound = Arrays.copyOf(Files.readAllBytes(path), MappedHeader.BYTES);
    for (int bit = 0; bit < sound.length * 8; bit++) {
      byte[] flipped = sound.clone();
      flipped[bit / 8] ^= (byte) (1 << bit % 8);
      assertThatThrownBy(
              () -> MappedHeader.decode(path, ByteBuffer.wrap(flipped)).check(path, IDENTITY))
          .as("bit %d", bit)
          .isInstanceOf(MapRefusedException.class);
    }
  }

  @Test
  void refusesAFileThatWasCut() throws IOException {
    createWith(5, 10);
    try (FileChannel channel = FileChannel.open(path, WRITE)) {
      channel.truncate(channel.size() - 1);
    }
    assertThatThrownBy(() -> MappedBlockMap.open(path, IDENTITY))
        .isInstanceOf(MapRefusedException.class);
    try (FileChannel channel = FileChannel.open(path, WRITE)) {
      channel.truncate(100);
    }
    assertThatThrownBy(() -> MappedBlockMap.open(path, IDENTITY))
        .hasMessageContaining("shorter than its header");
  }

  @Test
  void isCleanOnlyIfItWasMarkedAndNotOpenedSince() throws IOException {
    try (MappedBlockMap map =
        MappedBlockMap.create(path, IDENTITY, HeapBlockMap.allClear(BLOCKS))) {
      map.markClean();
    }
    try (MappedBlockMap map = MappedBlockMap.open(path, IDENTITY)) {
      assertThat(map.wasClean()).isTrue();
    }
    try (MappedBlockMap map = MappedBlockMap.open(path, IDENTITY)) {
      assertThat(map.wasClean()).isFalse();
    }
  }

  @Test
  void takesOverTheInitialBlocksAndReplacesAnOldFile() throws IOException {
    createWith(5, 10);
    HeapBlockMap initial = HeapBlockMap.allSet(BLOCKS);
    initial.clear(77, 78);

    try (MappedBlockMap map = MappedBlockMap.create(path, IDENTITY, initial)) {
      assertThat(map.cardinality()).isEqualTo(BLOCKS - 1);
      assertThat(map.nextClear(0)).isEqualTo(77);
    }
    assertThat(directory.toFile().list()).containsExactly("map");
  }

  @Test
  void aTebibyteInTmpfsCostsWhatWasTouchedWhetherSetOrClear() throws IOException {
    long tebibyte = 1L << 28;
    MappedBlockMap.Identity identity =
        with(IDENTITY.volume(), IDENTITY.epoch(), IDENTITY.bootId(), tebibyte);
    Path tmpfs = Files.createTempFile(Path.of("/dev/shm"), "vmferry-test", null);
    try {
      for (HeapBlockMap initial :
          List.of(HeapBlockMap.allClear(tebibyte), HeapBlockMap.allSet(tebibyte))) {
        try (MappedBlockMap map = MappedBlockMap.create(tmpfs, identity, initial)) {
          map.set(12_345_678, 12_345_679);
          map.clear(123_456_789, 123_456_790);
        }
        try (MappedBlockMap map = MappedBlockMap.open(tmpfs, identity)) {
          assertThat(map.cardinality()).isIn(1L, tebibyte - 1);
          assertThat(map.nextClear(12_345_679)).isLessThan(tebibyte);
        }
        // Header, the touched chunk and the last one, whose end gives the file its length.
        assertThat(allocated(tmpfs)).isLessThanOrEqualTo(3 * 4096);
      }
    } finally {
      Files.delete(tmpfs);
    }
  }

  private static long allocated(Path file) throws IOException {
    Process du = new ProcessBuilder("du", "--block-size=1", file.toString()).start();
    String answer = new String(du.getInputStream().readAllBytes(), UTF_8);
    return Long.parseLong(answer.split("\t", 2)[0]);
  }

  @Test
  void closingTwiceIsAllowedAndUseAfterwardsIsAnException() throws IOException {
    MappedBlockMap map = MappedBlockMap.create(path, IDENTITY, HeapBlockMap.allClear(BLOCKS));
    map.set(5, 10);
    map.close();
    map.close();

    assertThatThrownBy(() -> map.get(5)).isInstanceOf(NullPointerException.class);
  }

  @Test
  void aMapWithoutBlocksIsPossible() throws IOException {
    MappedBlockMap.Identity none = with(IDENTITY.volume(), IDENTITY.epoch(), IDENTITY.bootId(), 0);
    MappedBlockMap.create(path, none, HeapBlockMap.allClear(0)).close();
    try (MappedBlockMap map = MappedBlockMap.open(path, none)) {
      assertThat(map.nextSet(0)).isZero();
    }
  }

  @Test
  void refusesInitialBlocksOfAnotherSize() {
    assertThatThrownBy(() -> MappedBlockMap.create(path, IDENTITY, HeapBlockMap.allClear(1)))
        .isInstanceOf(IllegalArgumentException.class);
  }
}
