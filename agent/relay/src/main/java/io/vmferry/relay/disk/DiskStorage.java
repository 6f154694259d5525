// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.disk;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.type.TypeReference;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.SerializationFeature;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.datatype.jsr310.JavaTimeModule;
import io.vmferry.api.Epoch;
import io.vmferry.relay.map.BlockGrid;
import io.vmferry.relay.map.BlockMap;
import io.vmferry.relay.map.HeapBlockMap;
import io.vmferry.relay.map.MapRefusedException;
import io.vmferry.relay.map.MappedBlockMap;
import io.vmferry.relay.store.BlockFile;
import io.vmferry.relay.store.DiskBlockFile;
import io.vmferry.relay.store.DiskFileOps;
import io.vmferry.relay.store.DurableFile;
import io.vmferry.relay.store.FileOps;
import io.vmferry.relay.store.HeldJournal;
import io.vmferry.relay.volume.LocalProcess;
import io.vmferry.relay.volume.VolumeName;
import io.vmferry.relay.volume.VolumeRecord;
import io.vmferry.relay.volume.VolumeStorage;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.UUID;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Executor;
import java.util.stream.Stream;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Replicas in a directory per volume, as docs/on-disk-format.md describes. What must survive a
 * power loss is under the state directory; what must survive only this process is under the run
 * directory.
 *
 * <p>A replica is created and deleted under another name, so that a directory with a volume's name
 * is always whole.
 */
public final class DiskStorage implements VolumeStorage {
  private static final Logger log = LoggerFactory.getLogger(DiskStorage.class);

  private static final String DATA = "data";
  private static final String STATE = "volume.state";
  private static final String COMMIT = "commit.state";
  private static final String HELD_MAP = "held.map";
  private static final String STALE_MAP = "stale-";
  private static final String CLIENTS = "clients";

  /** Directories of replicas that are being made or removed; leftovers of a crash are removed. */
  private static final String UNFINISHED = ".unfinished-";

  /** A record is some hundred bytes; this bounds what a broken length can make us read. */
  private static final int MAX_STATE_BYTES = 1 << 20;

  private static final ObjectMapper JSON =
      JsonMapper.builder()
          .addModule(new JavaTimeModule())
          .enable(DeserializationFeature.FAIL_ON_UNKNOWN_PROPERTIES)
          .disable(SerializationFeature.WRITE_DATES_AS_TIMESTAMPS)
          .build();

  private final Path state;
  private final Path run;
  private final UUID bootId;
  private final Executor loop;
  private final Executor io;
  private final FileOps ops = new DiskFileOps();
  private final DurableFile commitFile;

  /** The commit file is there, and not all of its records are in their state files. */
  private boolean commitUnfinished;

  private final Map<String, DurableFile> stateFiles = new ConcurrentHashMap<>();
  private final Map<String, HeldJournal> journals = new ConcurrentHashMap<>();

  /**
   * Storage in two directories, which are made if missing.
   *
   * @param stateDirectory on disk: survives a power loss
   * @param runDirectory in tmpfs: survives this process
   * @param bootId of the running boot: maps of another one are void
   * @param loop where data files call back
   * @param io where data files block
   */
  public DiskStorage(
      Path stateDirectory, Path runDirectory, UUID bootId, Executor loop, Executor io)
      throws IOException {
    this.state = Files.createDirectories(stateDirectory.resolve("volumes"));
    this.run = Files.createDirectories(runDirectory.resolve("volumes"));
    this.bootId = bootId;
    this.loop = loop;
    this.io = io;
    this.commitFile =
        new DurableFile(ops, stateDirectory.resolve(COMMIT), "commit", MAX_STATE_BYTES);
  }

  // ---- start

  @Override
  public List<Found> load() throws IOException {
    finishCommit();
    List<Found> found = new ArrayList<>();
    for (Path directory : list(state)) {
      String name = directory.getFileName().toString();
      if (name.startsWith(UNFINISHED)) {
        deleteTree(directory);
      } else if (VolumeName.isValid(name)) {
        found.add(load(name));
      } else {
        log.warn("{} is not a volume's directory; it is left alone", directory);
      }
    }
    return found;
  }

  /** A commit of several records that was interrupted: it counts from its durable file on. */
  private void finishCommit() throws IOException {
    Optional<DurableFile.Content> interrupted = commitFile.read();
    if (interrupted.isPresent()) {
      List<VolumeRecord> records =
          JSON.readValue(interrupted.get().payload(), new TypeReference<List<VolumeRecord>>() {});
      for (VolumeRecord record : records) {
        if (Files.isDirectory(directory(record.name()))) {
          write(record);
        }
      }
      commitFile.delete();
    }
    commitUnfinished = false;
  }

  private Found load(String name) {
    try {
      DurableFile.Content content =
          stateFile(name)
              .read()
              .orElseThrow(
                  () ->
                      new IOException(
                          directory(name).resolve(STATE)
                              + " is missing; restore it from a backup, or remove the directory"));
      VolumeRecord record = JSON.readValue(content.payload(), VolumeRecord.class);
      if (!record.name().equals(name) || !record.uuid().equals(content.uuid())) {
        throw new IOException(
            directory(name).resolve(STATE)
                + " belongs to volume "
                + record.name()
                + "; restore the right one from a backup, or remove the directory");
      }
      return new Found(name, open(record), null);
    } catch (JsonProcessingException e) {
      return new Found(
          name,
          null,
          directory(name).resolve(STATE)
              + " was written by another release of vmferry: "
              + e.getOriginalMessage()
              + "; start that release");
    } catch (IOException | RuntimeException e) {
      return new Found(name, null, message(e));
    }
  }

  private Replica open(VolumeRecord record) throws IOException {
    String name = record.name();
    BlockFile file = DiskBlockFile.open(directory(name).resolve(DATA), record.size(), loop, io);
    try {
      return open(record, file);
    } catch (IOException | RuntimeException e) {
      file.close();
      throw e;
    }
  }

  private Replica open(VolumeRecord record, BlockFile file) throws IOException {
    String name = record.name();
    Set<LocalProcess> clients = readClients(name);
    Files.createDirectories(run.resolve(name));
    Map<String, BlockMap> stale = new TreeMap<>();
    for (String node : record.replicas()) {
      stale.put(node, staleMap(record, node, false));
    }
    if (record.held() != VolumeRecord.Held.JOURNAL) {
      return new Replica(record, file, null, null, null, stale, clients);
    }
    BlockGrid grid = new BlockGrid(record.size());
    HeldJournal journal =
        HeldJournal.open(ops, directory(name), record.uuid(), grid.blocks())
            .orElseThrow(
                () ->
                    new IOException(
                        "the journal of held blocks of volume "
                            + name
                            + " is missing; delete this replica and attach it again"));
    journals.put(name, journal);
    BlockMap durable = journal.held();
    BlockMap live = liveMap(record, journal.epoch(), durable);
    return new Replica(record, file, journal, live, durable, stale, clients);
  }

  /**
   * The map that survived the last process if it belongs to this boot and epoch, else the durable.
   */
  private BlockMap liveMap(VolumeRecord record, Epoch epoch, BlockMap durable) throws IOException {
    Path path = run.resolve(record.name()).resolve(HELD_MAP);
    MappedBlockMap.Identity identity = identity(record, epoch);
    try {
      return MappedBlockMap.open(path, identity);
    } catch (NoSuchFileException e) {
      return MappedBlockMap.create(path, identity, durable);
    } catch (MapRefusedException e) {
      log.info("volume {}: held blocks are taken from the journal: {}", record.name(), message(e));
      return MappedBlockMap.create(path, identity, durable);
    }
  }

  // ---- changes

  @Override
  public BlockFile create(VolumeRecord record) throws IOException {
    String name = record.name();
    Path unfinished = state.resolve(UNFINISHED + name);
    deleteTree(unfinished);
    deleteTree(run.resolve(name));
    Files.createDirectories(unfinished);
    try {
      DiskBlockFile.create(unfinished.resolve(DATA), record.size(), loop, io).close();
      new DurableFile(ops, unfinished.resolve(STATE), "volume", MAX_STATE_BYTES)
          .write(content(record));
      if (record.held() == VolumeRecord.Held.JOURNAL) {
        BlockMap none = HeapBlockMap.allClear(new BlockGrid(record.size()).blocks());
        HeldJournal.create(ops, unfinished, record.uuid(), record.epoch(), none).close();
      }
      ops.rename(unfinished, directory(name));
      ops.forceDirectory(state);
    } catch (IOException e) {
      deleteTree(unfinished);
      throw e;
    }
    Files.createDirectories(run.resolve(name));
    return DiskBlockFile.open(directory(name).resolve(DATA), record.size(), loop, io);
  }

  @Override
  public void commit(List<VolumeRecord> records) throws IOException {
    if (commitUnfinished) {
      // An older commit must never come after a newer one.
      finishCommit();
    }
    if (records.size() == 1) {
      write(records.get(0));
      return;
    }
    VolumeRecord first = records.get(0);
    commitFile.write(
        new DurableFile.Content(first.uuid(), first.epoch(), JSON.writeValueAsBytes(records)));
    // From here on it counts, whatever happens to the rest.
    commitUnfinished = true;
    try {
      finishCommit();
    } catch (IOException e) {
      log.error("a commit is durable, but not yet in each volume's state file: {}", message(e));
    }
  }

  private void write(VolumeRecord record) throws IOException {
    stateFile(record.name()).write(content(record));
  }

  private static DurableFile.Content content(VolumeRecord record) throws IOException {
    return new DurableFile.Content(
        record.uuid(),
        record.epoch(),
        JSON.writerWithDefaultPrettyPrinter().writeValueAsBytes(record));
  }

  @Override
  public HeldMaps beginFetching(VolumeRecord record, Epoch epoch, BlockMap held)
      throws IOException {
    String name = record.name();
    HeldJournal journal = journals.get(name);
    if (journal == null) {
      journal = HeldJournal.open(ops, directory(name), record.uuid(), held.blocks()).orElse(null);
    }
    if (journal == null) {
      journal = HeldJournal.create(ops, directory(name), record.uuid(), epoch, held);
    } else {
      journal.reset(epoch, held);
    }
    journals.put(name, journal);
    Files.createDirectories(run.resolve(name));
    return new HeldMaps(
        journal,
        MappedBlockMap.create(run.resolve(name).resolve(HELD_MAP), identity(record, epoch), held));
  }

  @Override
  public void endFetching(VolumeRecord record) throws IOException {
    HeldJournal journal = journals.remove(record.name());
    if (journal != null) {
      journal.delete();
    }
    Files.deleteIfExists(run.resolve(record.name()).resolve(HELD_MAP));
  }

  @Override
  public BlockMap staleMap(VolumeRecord record, String node, boolean fresh) throws IOException {
    Path path = run.resolve(record.name()).resolve(STALE_MAP + node + ".map");
    MappedBlockMap.Identity identity = identity(record, record.epoch());
    if (!fresh) {
      try {
        return MappedBlockMap.open(path, identity);
      } catch (NoSuchFileException | MapRefusedException e) {
        log.info(
            "volume {}: all blocks count as stale at node {}: {}", record.name(), node, message(e));
      }
    }
    Files.createDirectories(path.getParent());
    long blocks = identity.blocks();
    return MappedBlockMap.create(
        path, identity, fresh ? HeapBlockMap.allClear(blocks) : HeapBlockMap.allSet(blocks));
  }

  @Override
  public void grow(VolumeRecord before, VolumeRecord grown) throws IOException {
    // The file first: one that is larger than its volume can be opened, a smaller one can't.
    DiskBlockFile.grow(directory(grown.name()).resolve(DATA), before.size(), grown.size());
    commit(List.of(grown));
  }

  @Override
  public void delete(VolumeRecord record) throws IOException {
    String name = record.name();
    Path unfinished = state.resolve(UNFINISHED + name);
    deleteTree(unfinished);
    ops.rename(directory(name), unfinished);
    ops.forceDirectory(state);
    HeldJournal journal = journals.remove(name);
    if (journal != null) {
      journal.close();
    }
    stateFiles.remove(name);
    deleteTree(unfinished);
    deleteTree(run.resolve(name));
  }

  @Override
  public long freeBytes() throws IOException {
    return Files.getFileStore(state).getUsableSpace();
  }

  @Override
  public long totalBytes() throws IOException {
    return Files.getFileStore(state).getTotalSpace();
  }

  // ---- local clients

  @Override
  public void rememberClients(String name, Set<LocalProcess> clients) {
    Path file = run.resolve(name).resolve(CLIENTS);
    Path temporary = file.resolveSibling(CLIENTS + ".tmp");
    try {
      Files.write(temporary, JSON.writeValueAsBytes(clients));
      Files.move(temporary, file, StandardCopyOption.ATOMIC_MOVE);
    } catch (IOException e) {
      log.error("volume {}: who has it open can't be noted in {}: {}", name, file, message(e));
    }
  }

  private Set<LocalProcess> readClients(String name) {
    Path file = run.resolve(name).resolve(CLIENTS);
    try {
      return JSON.readValue(
          Files.readAllBytes(file), new TypeReference<HashSet<LocalProcess>>() {});
    } catch (NoSuchFileException e) {
      return Set.of();
    } catch (IOException e) {
      log.error("{} can't be read; clients of the last relay process are unknown", file, e);
      return Set.of();
    }
  }

  // ---- paths

  private Path directory(String name) {
    return state.resolve(name);
  }

  private DurableFile stateFile(String name) {
    return stateFiles.computeIfAbsent(
        name,
        key -> new DurableFile(ops, directory(key).resolve(STATE), "volume", MAX_STATE_BYTES));
  }

  private MappedBlockMap.Identity identity(VolumeRecord record, Epoch epoch) {
    return new MappedBlockMap.Identity(
        record.uuid(), epoch, bootId, new BlockGrid(record.size()).blocks());
  }

  private static List<Path> list(Path directory) throws IOException {
    try (Stream<Path> entries = Files.list(directory)) {
      return entries.sorted().toList();
    }
  }

  private static void deleteTree(Path tree) throws IOException {
    if (!Files.exists(tree)) {
      return;
    }
    try (Stream<Path> walk = Files.walk(tree)) {
      for (Path path : walk.sorted((a, b) -> b.compareTo(a)).toList()) {
        Files.deleteIfExists(path);
      }
    }
  }

  private static String message(Exception e) {
    return e.getMessage() == null ? e.toString() : e.getMessage();
  }
}
