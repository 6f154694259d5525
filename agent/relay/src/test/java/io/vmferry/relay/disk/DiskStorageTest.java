// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.disk;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.datatype.jsr310.JavaTimeModule;
import io.vmferry.api.Epoch;
import io.vmferry.api.VolumeState;
import io.vmferry.relay.map.BlockGrid;
import io.vmferry.relay.map.BlockMap;
import io.vmferry.relay.map.HeapBlockMap;
import io.vmferry.relay.store.DiskFileOps;
import io.vmferry.relay.store.DurableFile;
import io.vmferry.relay.volume.LocalProcess;
import io.vmferry.relay.volume.VolumeRecord;
import io.vmferry.relay.volume.VolumeStorage;
import io.vmferry.relay.volume.VolumeStorage.Found;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.UUID;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What the next process finds in the two directories, after each way to end the one before. */
final class DiskStorageTest {
  private static final UUID BOOT = new UUID(1, 1);
  private static final UUID NEXT_BOOT = new UUID(1, 2);
  private static final int BLOCKS = 16;
  private static final long SIZE = (long) BLOCKS * BlockGrid.BLOCK;

  @TempDir Path state;
  @TempDir Path run;

  private final List<AutoCloseable> open = new ArrayList<>();

  @AfterEach
  void closeAll() throws Exception {
    for (AutoCloseable each : open) {
      each.close();
    }
  }

  private DiskStorage storage(UUID boot) throws IOException {
    return new DiskStorage(state, run, boot, Runnable::run, Runnable::run);
  }

  private static UUID uuid(String name) {
    return new UUID(9, name.hashCode());
  }

  private static VolumeRecord standby(String name) {
    return VolumeRecord.standby(name, uuid(name), SIZE, new Epoch(1, "a"), null);
  }

  private static VolumeRecord serving(String name) {
    return VolumeRecord.created(name, uuid(name), SIZE, "b");
  }

  private VolumeRecord create(DiskStorage storage, VolumeRecord record) throws IOException {
    open.add(storage.create(record)::close);
    return record;
  }

  @Test
  void aVolumeThatIsFetchedFromAServerHasItsJournalFromTheStart() throws IOException {
    VolumeRecord fetched =
        VolumeRecord.fetched(
            "vol", uuid("vol"), SIZE, "b", new VolumeRecord.Source("nbd://server/disk", null));
    create(storage(BOOT), fetched);

    Found found = load(NEXT_BOOT).get(0);
    assertThat(found.failure()).isNull();
    assertThat(found.replica().record()).isEqualTo(fetched);
    assertThat(found.replica().durable().cardinality()).isZero();
    assertThat(found.replica().live().blocks()).isEqualTo(BLOCKS);
  }

  private List<Found> load(UUID boot) throws IOException {
    List<Found> found = storage(boot).load();
    for (Found each : found) {
      if (each.replica() != null) {
        open.add(each.replica().file()::close);
        if (each.replica().journal() != null) {
          open.add(each.replica().journal());
          open.add(each.replica().live());
        }
        open.addAll(each.replica().stale().values());
      }
    }
    return found;
  }

  private Found loadOne(UUID boot) throws IOException {
    List<Found> found = load(boot);
    assertThat(found).hasSize(1);
    return found.get(0);
  }

  private Path directory(String name) {
    return state.resolve("volumes").resolve(name);
  }

  private static HeapBlockMap blocks(long from, long to) {
    HeapBlockMap map = HeapBlockMap.allClear(BLOCKS);
    map.set(from, to);
    return map;
  }

  /** A takeover from "a"; returns the maps. */
  private VolumeStorage.HeldMaps takeOver(DiskStorage storage, VolumeRecord record, BlockMap held)
      throws IOException {
    VolumeRecord owner = record.takenOver(record.epoch().next("b"), "a");
    VolumeStorage.HeldMaps maps = storage.beginFetching(owner, owner.epoch(), held);
    open.add(maps.live());
    open.add(maps.journal());
    storage.commit(List.of(owner));
    return maps;
  }

  private static void damage(Path file) throws IOException {
    byte[] bytes = Files.readAllBytes(file);
    bytes[bytes.length - 3] ^= 1;
    Files.write(file, bytes);
  }

  // ---- records

  @Test
  void whatWasCreatedIsFound() throws IOException {
    VolumeRecord record = create(storage(BOOT), serving("vol"));
    Found found = loadOne(BOOT);
    assertThat(found.failure()).isNull();
    assertThat(found.replica().record()).isEqualTo(record);
    assertThat(found.replica().file().size()).isEqualTo(SIZE);
  }

  @Test
  void theLastCommitCounts() throws IOException {
    DiskStorage storage = storage(BOOT);
    VolumeRecord record = create(storage, serving("vol"));
    VolumeRecord released = record.released(record.epoch().next("a"), Instant.EPOCH);
    storage.commit(List.of(released));
    assertThat(loadOne(BOOT).replica().record()).isEqualTo(released);
  }

  @Test
  void aDamagedRecordIsRefusedAndTheOthersAreServed() throws IOException {
    DiskStorage storage = storage(BOOT);
    create(storage, serving("bad"));
    create(storage, serving("good"));
    damage(directory("bad").resolve("volume.state"));

    List<Found> found = load(BOOT);

    assertThat(found).extracting(Found::name).containsExactly("bad", "good");
    assertThat(found.get(0).replica()).isNull();
    assertThat(found.get(0).failure()).contains("volume.state").contains("checksum is wrong");
    assertThat(found.get(1).failure()).isNull();
  }

  @Test
  void aMissingRecordIsRefused() throws IOException {
    create(storage(BOOT), serving("vol"));
    Files.delete(directory("vol").resolve("volume.state"));
    assertThat(loadOne(BOOT).failure()).contains("volume.state is missing");
  }

  @Test
  void anotherVolumesRecordIsRefused() throws IOException {
    DiskStorage storage = storage(BOOT);
    create(storage, serving("one"));
    create(storage, serving("two"));
    Files.copy(
        directory("one").resolve("volume.state"),
        directory("two").resolve("volume.state"),
        StandardCopyOption.REPLACE_EXISTING);
    List<Found> found = load(BOOT);
    assertThat(found.get(0).failure()).isNull();
    assertThat(found.get(1).failure()).contains("belongs to volume one");
  }

  @Test
  void aRecordOfALaterReleaseIsRefused() throws IOException {
    create(storage(BOOT), serving("vol"));
    DurableFile file =
        new DurableFile(
            new DiskFileOps(), directory("vol").resolve("volume.state"), "volume", 1 << 20);
    file.write(
        new DurableFile.Content(
            uuid("vol"), new Epoch(1, "b"), "{\"name\":\"vol\",\"wings\":2}".getBytes(UTF_8)));
    assertThat(loadOne(BOOT).failure()).contains("another release").contains("wings");
  }

  @Test
  void aMissingDataFileIsRefused() throws IOException {
    create(storage(BOOT), serving("vol"));
    Files.delete(directory("vol").resolve("data"));
    assertThat(loadOne(BOOT).failure()).contains("data");
  }

  @Test
  void whatWasHalfMadeOrHalfRemovedGoesAway() throws IOException {
    DiskStorage storage = storage(BOOT);
    create(storage, serving("vol"));
    Path unfinished = Files.createDirectories(state.resolve("volumes/.unfinished-new"));
    Files.writeString(unfinished.resolve("data"), "half");
    assertThat(load(BOOT)).extracting(Found::name).containsExactly("vol");
    assertThat(unfinished).doesNotExist();
  }

  @Test
  void whatIsNoVolumeIsLeftAlone() throws IOException {
    Path other = Files.createDirectories(state.resolve("volumes/lost+found"));
    assertThat(load(BOOT)).isEmpty();
    assertThat(other).exists();
  }

  @Test
  void aDeletedReplicaIsGone() throws IOException {
    DiskStorage storage = storage(BOOT);
    VolumeRecord record = create(storage, serving("vol"));
    storage.delete(record);
    assertThat(load(BOOT)).isEmpty();
    assertThat(directory("vol")).doesNotExist();
    assertThat(run.resolve("volumes/vol")).doesNotExist();
  }

  // ---- commits of several

  private void interruptedCommit(VolumeRecord... records) throws IOException {
    DurableFile file =
        new DurableFile(new DiskFileOps(), state.resolve("commit.state"), "commit", 1 << 20);
    file.write(
        new DurableFile.Content(
            records[0].uuid(),
            records[0].epoch(),
            JsonMapper.builder()
                .addModule(new JavaTimeModule())
                .build()
                .writeValueAsBytes(List.of(records))));
  }

  @Test
  void aCommitOfSeveralChangesThemAll() throws IOException {
    DiskStorage storage = storage(BOOT);
    VolumeRecord one = create(storage, serving("one"));
    VolumeRecord two = create(storage, serving("two"));
    storage.commit(
        List.of(
            one.released(one.epoch().next("a"), Instant.EPOCH),
            two.released(two.epoch().next("a"), Instant.EPOCH)));
    assertThat(state.resolve("commit.state")).doesNotExist();
    assertThat(load(BOOT))
        .allSatisfy(
            found -> assertThat(found.replica().record().state()).isEqualTo(VolumeState.RELEASED));
  }

  @Test
  void aCommitThatWasInterruptedAfterItsFirstFileIsFinished() throws IOException {
    DiskStorage storage = storage(BOOT);
    VolumeRecord one = create(storage, serving("one"));
    VolumeRecord two = create(storage, serving("two"));
    VolumeRecord releasedOne = one.released(one.epoch().next("a"), Instant.EPOCH);
    VolumeRecord releasedTwo = two.released(two.epoch().next("a"), Instant.EPOCH);
    storage.commit(List.of(releasedOne));
    interruptedCommit(releasedOne, releasedTwo);

    assertThat(load(BOOT))
        .extracting(found -> found.replica().record())
        .containsExactly(releasedOne, releasedTwo);
    assertThat(state.resolve("commit.state")).doesNotExist();
  }

  @Test
  void anInterruptedCommitDoesNotBringADeletedVolumeBack() throws IOException {
    DiskStorage storage = storage(BOOT);
    VolumeRecord one = create(storage, serving("one"));
    interruptedCommit(one.released(one.epoch().next("a"), Instant.EPOCH), serving("gone"));
    assertThat(load(BOOT)).extracting(Found::name).containsExactly("one");
  }

  // ---- held blocks

  @Test
  void theLiveMapSurvivesTheProcess() throws IOException {
    DiskStorage storage = storage(BOOT);
    VolumeRecord record = create(storage, standby("vol"));
    takeOver(storage, record, blocks(0, 2)).live().set(5, 6);

    VolumeStorage.Replica replica = loadOne(BOOT).replica();

    assertThat(replica.live().cardinality()).isEqualTo(3);
    assertThat(replica.live().get(5)).isTrue();
    assertThat(replica.durable().cardinality()).isEqualTo(2);
  }

  @Test
  void theLiveMapDoesNotSurviveTheHost() throws IOException {
    DiskStorage storage = storage(BOOT);
    VolumeRecord record = create(storage, standby("vol"));
    takeOver(storage, record, blocks(0, 2)).live().set(5, 6);
    assertThat(loadOne(NEXT_BOOT).replica().live().cardinality()).isEqualTo(2);
  }

  @Test
  void theLiveMapOfAnEarlierTakeoverIsVoid() throws IOException {
    DiskStorage storage = storage(BOOT);
    VolumeRecord record = create(storage, standby("vol"));
    takeOver(storage, record, blocks(0, 8));
    Path live = run.resolve("volumes/vol/held.map");
    byte[] before = Files.readAllBytes(live);
    takeOver(
        storage,
        VolumeRecord.standby("vol", uuid("vol"), SIZE, new Epoch(3, "a"), null),
        blocks(0, 1));
    Files.write(live, before);

    assertThat(loadOne(BOOT).replica().live().cardinality()).isEqualTo(1);
  }

  @Test
  void anOwnerWithoutItsJournalIsRefused() throws IOException {
    DiskStorage storage = storage(BOOT);
    VolumeRecord record = create(storage, standby("vol"));
    takeOver(storage, record, blocks(0, 2));
    Files.delete(directory("vol").resolve("held.map"));
    assertThat(loadOne(BOOT).failure()).contains("journal").contains("missing");
  }

  @Test
  void aCompleteReplicaNeedsNoMaps() throws IOException {
    DiskStorage storage = storage(BOOT);
    VolumeRecord record = create(storage, standby("vol"));
    takeOver(storage, record, blocks(0, BLOCKS));
    VolumeRecord complete =
        record.takenOver(record.epoch().next("b"), "a").completed().withoutReplica("a");
    storage.commit(List.of(complete));
    storage.endFetching(complete);

    assertThat(loadOne(BOOT).replica().live()).isNull();
    assertThat(directory("vol").resolve("held.map")).doesNotExist();
    assertThat(run.resolve("volumes/vol/held.map")).doesNotExist();
  }

  // ---- stale maps

  private BlockMap stale(UUID boot, VolumeRecord record, boolean fresh) throws IOException {
    BlockMap map = storage(boot).staleMap(record, "c", fresh);
    open.add(map);
    return map;
  }

  @Test
  void aFreshStaleMapIsClear() throws IOException {
    VolumeRecord record = create(storage(BOOT), serving("vol"));
    assertThat(stale(BOOT, record, true).cardinality()).isZero();
  }

  @Test
  void aStaleMapThatIsNotThereIsAllStale() throws IOException {
    VolumeRecord record = create(storage(BOOT), serving("vol"));
    assertThat(stale(BOOT, record, false).cardinality()).isEqualTo(BLOCKS);
  }

  @Test
  void aStaleMapSurvivesTheProcess() throws IOException {
    VolumeRecord record = create(storage(BOOT), serving("vol"));
    stale(BOOT, record, true).set(3, 4);
    BlockMap again = stale(BOOT, record, false);
    assertThat(again.cardinality()).isEqualTo(1);
    assertThat(again.get(3)).isTrue();
  }

  @Test
  void aStaleMapOfAnotherBootIsAllStale() throws IOException {
    VolumeRecord record = create(storage(BOOT), serving("vol"));
    stale(BOOT, record, true);
    assertThat(stale(NEXT_BOOT, record, false).cardinality()).isEqualTo(BLOCKS);
  }

  @Test
  void aStaleMapOfAnotherEpochIsAllStale() throws IOException {
    VolumeRecord record = create(storage(BOOT), serving("vol"));
    stale(BOOT, record, true);
    VolumeRecord later = record.released(record.epoch().next("b"), Instant.EPOCH);
    assertThat(stale(BOOT, later, false).cardinality()).isEqualTo(BLOCKS);
  }

  // ---- clients

  @Test
  void whoHadItOpenIsRemembered() throws IOException {
    DiskStorage storage = storage(BOOT);
    create(storage, serving("vol"));
    storage.rememberClients("vol", Set.of(new LocalProcess(12, 34)));
    assertThat(loadOne(BOOT).replica().clients()).containsExactly(new LocalProcess(12, 34));
  }

  @Test
  void aNewVolumeOfTheSameNameHasNobody() throws IOException {
    DiskStorage storage = storage(BOOT);
    storage.delete(create(storage, serving("vol")));
    create(storage, serving("vol"));
    assertThat(loadOne(BOOT).replica().clients()).isEmpty();
  }

  @Test
  void theTimeOfCompletionSurvivesAndCanBeReadByPeople() throws IOException {
    Instant noon = Instant.parse("2026-11-21T12:00:00.123456Z");
    DiskStorage before = storage(BOOT);
    VolumeRecord created = create(before, serving("vol"));
    VolumeRecord copy = created.released(new Epoch(2, "b"), noon).completeAt("b", noon);
    before.commit(List.of(copy));

    assertThat(load(BOOT)).extracting(found -> found.replica().record()).containsExactly(copy);
    assertThat(Files.readString(state.resolve("volumes/vol/volume.state")))
        .contains("\"completeSince\" : \"2026-11-21T12:00:00.123456Z\"");
  }

  @Test
  void aGrownReplicaIsFoundGrown() throws IOException {
    DiskStorage storage = storage(BOOT);
    VolumeRecord before =
        create(storage, standby("vol").takenOver(new Epoch(2, "b"), "a").completed());
    storage.staleMap(before, "a", true).close();
    storage.grow(before, before.grown(SIZE + 512));
    Found found = loadOne(BOOT);
    assertThat(found.replica().record()).isEqualTo(before.grown(SIZE + 512));
    assertThat(found.replica().file().size()).isEqualTo(SIZE + 512);
    assertThat(found.replica().stale()).isEmpty();
  }

  @Test
  void aGrowthThatEndedBeforeItsRecordIsNone() throws IOException {
    DiskStorage storage = storage(BOOT);
    VolumeRecord before = create(storage, serving("vol"));
    storage.grow(before, before.grown(2 * SIZE));
    storage.commit(List.of(before));
    assertThat(loadOne(BOOT).replica().file().size()).isEqualTo(SIZE);
  }
}
