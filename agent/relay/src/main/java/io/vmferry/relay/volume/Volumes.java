// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.volume;

import io.vmferry.api.Capacity;
import io.vmferry.api.CreateVolume;
import io.vmferry.api.Problem;
import io.vmferry.api.ProblemException;
import io.vmferry.api.VolumeState;
import io.vmferry.api.VolumeStatus;
import io.vmferry.relay.map.BlockGrid;
import io.vmferry.relay.map.BlockMap;
import io.vmferry.relay.map.HeapBlockMap;
import io.vmferry.relay.store.BlockFile;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import java.util.function.BiConsumer;
import java.util.function.Supplier;
import java.util.function.UnaryOperator;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** All replicas at this node, by name. Loop only. */
public final class Volumes {
  private static final Logger log = LoggerFactory.getLogger(Volumes.class);

  /** Largest volume in bytes; beyond it, maps would not fit memory. 16 TiB. */
  public static final long MAX_SIZE = 1L << 44;

  private final String node;
  private final VolumeEnvironment shared;
  private final Commits commits;
  private final Map<String, Volume> byName = new TreeMap<>();
  private final Map<String, String> broken = new TreeMap<>();
  private final Set<String> inCreation = new HashSet<>();

  /** Volumes whose files are being deleted; a new one of the same name comes after that. */
  private final Map<String, CompletableFuture<Void>> inDeletion = new HashMap<>();

  public Volumes(String node, VolumeEnvironment shared) {
    this.node = node;
    this.shared = shared;
    this.commits = shared.commits();
  }

  /** Takes over what the storage found at start. */
  public void start(List<VolumeStorage.Found> found) {
    for (VolumeStorage.Found each : found) {
      if (each.failure() != null) {
        log.error("volume {} is not served: {}", each.name(), each.failure());
        broken.put(each.name(), each.failure());
      } else {
        byName.put(each.name(), new Volume(shared, each.replica()));
      }
    }
  }

  public Collection<Volume> all() {
    return List.copyOf(byName.values());
  }

  /** The replica of that name, or null. */
  public Volume byName(String name) {
    return byName.get(name);
  }

  /** The replica of that volume, or null. */
  public Volume byUuid(UUID uuid) {
    for (Volume volume : byName.values()) {
      if (volume.record().uuid().equals(uuid)) {
        return volume;
      }
    }
    return null;
  }

  /** Why the replica of that name can't be served at all; null if it isn't broken. */
  public String broken(String name) {
    return broken.get(name);
  }

  /** Names of all replicas that are served. */
  public List<String> names() {
    return List.copyOf(byName.keySet());
  }

  /** Makes a new volume, owned here. */
  public CompletableFuture<VolumeStatus> create(CreateVolume request) {
    VolumeName.check(request.name());
    checkSize(request.name(), request.size());
    VolumeRecord record =
        VolumeRecord.created(request.name(), UUID.randomUUID(), request.size(), node);
    return add(record).thenApply(Volume::status);
  }

  /** Makes a new volume, owned here, whose content comes from an NBD server. */
  public CompletableFuture<VolumeStatus> create(String name, long size, VolumeRecord.Source from) {
    checkSize(name, size);
    return add(VolumeRecord.fetched(name, UUID.randomUUID(), size, node, from))
        .thenApply(Volume::status);
  }

  private static void checkSize(String name, long size) {
    if (size < 1 || size > MAX_SIZE) {
      throw new ProblemException(
          Problem.Code.BAD_REQUEST,
          "volume " + name + " can't have " + size + " bytes; choose a size from 1 byte to 16 TiB");
    }
  }

  /** Makes a replica's files and serves it. Fails with NAME_TAKEN or NO_SPACE. */
  public CompletableFuture<Volume> add(VolumeRecord record) {
    String name = record.name();
    if (inDeletion.containsKey(name)) {
      return inDeletion.get(name).handle((done, error) -> null).thenCompose(over -> add(record));
    }
    if (byName.containsKey(name) || broken.containsKey(name) || !inCreation.add(name)) {
      throw new ProblemException(
          Problem.Code.NAME_TAKEN,
          "a volume named " + name + " is already here; choose another name or delete that one");
    }
    CompletableFuture<Volume> result = new CompletableFuture<>();
    shared
        .tasks()
        .run(
            () -> make(record),
            (replica, error) -> {
              inCreation.remove(name);
              if (error != null) {
                result.completeExceptionally(
                    storageProblem("volume " + name + " can't be made", error));
                return;
              }
              Volume volume = new Volume(shared, replica);
              byName.put(name, volume);
              VolumeLog.about(log.atInfo(), record)
                  .log("volume {}: {} {}", name, record.state(), record.epoch());
              result.complete(volume);
            });
    return result;
  }

  /** On a disk thread. */
  private VolumeStorage.Replica make(VolumeRecord record) throws IOException {
    VolumeStorage storage = shared.storage();
    BlockFile file = storage.create(record);
    if (record.held() != VolumeRecord.Held.JOURNAL) {
      return new VolumeStorage.Replica(record, file, null, null, null, Map.of(), Set.of());
    }
    try {
      BlockMap none = HeapBlockMap.allClear(new BlockGrid(record.size()).blocks());
      VolumeStorage.HeldMaps maps = storage.beginFetching(record, record.epoch(), none);
      return new VolumeStorage.Replica(
          record, file, maps.journal(), maps.live(), none, Map.of(), Set.of());
    } catch (IOException e) {
      file.close();
      storage.delete(record);
      throw e;
    }
  }

  /**
   * Removes a replica that nobody needs. The caller has checked that nobody does, and the check is
   * made again when its turn comes.
   */
  public CompletableFuture<Void> delete(Volume volume, Supplier<ProblemException> stillNeeded) {
    CompletableFuture<Void> result = new CompletableFuture<>();
    commits.<Void>submit(
        () -> {
          String name = volume.record().name();
          ProblemException problem = byName.get(name) == volume ? stillNeeded.get() : null;
          if (problem != null) {
            result.completeExceptionally(problem);
          } else if (byName.remove(name, volume)) {
            inDeletion.put(name, result);
            volume.close("volume " + name + " was deleted", () -> deleteFiles(volume, result));
          } else {
            result.complete(null);
          }
          return null;
        },
        (nothing, error) -> {});
    return result;
  }

  private void deleteFiles(Volume volume, CompletableFuture<Void> result) {
    String name = volume.record().name();
    commits.<Void>submit(
        () ->
            () -> {
              shared.storage().delete(volume.record());
              return null;
            },
        (nothing, error) -> {
          inDeletion.remove(name);
          if (error != null) {
            result.completeExceptionally(
                storageProblem("volume " + name + " can't be deleted", error));
          } else {
            VolumeLog.about(log.atInfo(), volume.record()).log("volume {}: deleted", name);
            result.complete(null);
          }
        });
  }

  /** Changes one record without changing its state. {@code change} sees it as it is at its turn. */
  public void note(
      Volume volume,
      UnaryOperator<VolumeRecord> change,
      BiConsumer<VolumeRecord, IOException> done) {
    commits.<VolumeRecord>submit(
        () -> {
          VolumeRecord changed = change.apply(volume.record());
          if (changed.equals(volume.record())) {
            return null;
          }
          return () -> {
            shared.storage().commit(List.of(changed));
            return changed;
          };
        },
        (changed, error) -> {
          if (changed != null) {
            volume.note(changed);
          }
          done.accept(volume.record(), error);
        });
  }

  public Commits commits() {
    return commits;
  }

  public VolumeEnvironment shared() {
    return shared;
  }

  /** The state of all replicas, also of those that are broken. */
  public List<VolumeStatus> status() {
    List<VolumeStatus> status = new ArrayList<>();
    byName.values().forEach(volume -> status.add(volume.status()));
    broken.forEach((name, failure) -> status.add(brokenStatus(name, failure)));
    return status;
  }

  /** Room for volumes at this node. */
  public CompletableFuture<Capacity> capacity() {
    CompletableFuture<Capacity> result = new CompletableFuture<>();
    VolumeStorage storage = shared.storage();
    shared
        .tasks()
        .run(
            () -> new Capacity(storage.totalBytes(), storage.freeBytes()),
            (capacity, error) -> {
              if (error != null) {
                result.completeExceptionally(
                    storageProblem("the free space on this node is unknown", error));
              } else {
                result.complete(capacity);
              }
            });
    return result;
  }

  /** All standbys that were attached for one domain. */
  public List<Volume> standbysOf(UUID domain) {
    return byName.values().stream()
        .filter(volume -> volume.record().state() == VolumeState.STANDBY)
        .filter(volume -> domain.equals(volume.record().domain()))
        .toList();
  }

  /** All replicas of one domain's volumes that another node owns. */
  public List<Volume> ownedElsewhere(UUID domain) {
    return byName.values().stream()
        .filter(volume -> !volume.isOwner() && !volume.isForked())
        .filter(volume -> domain.equals(volume.record().domain()))
        .toList();
  }

  /** Stops all guest I/O, makes everything durable, and closes the files. */
  public CompletableFuture<Void> stop() {
    List<CompletableFuture<Void>> closed = new ArrayList<>();
    for (Volume volume : all()) {
      CompletableFuture<Void> one = new CompletableFuture<>();
      closed.add(one);
      volume.quiesce(
          error -> {
            if (error != null) {
              log.error("volume {}: {}", volume.record().name(), error.getMessage());
            }
            volume.close("the relay is stopping", () -> one.complete(null));
          });
    }
    return CompletableFuture.allOf(closed.toArray(CompletableFuture[]::new));
  }

  /** A problem of this node's disk, for whoever asked. */
  public static ProblemException storageProblem(String what, IOException error) {
    Problem.Code code =
        DiskTrouble.of(error) == DiskTrouble.FULL ? Problem.Code.NO_SPACE : Problem.Code.INTERNAL;
    return new ProblemException(
        code, what + ": " + error.getMessage() + "; mend the disk and try again");
  }

  private static VolumeStatus brokenStatus(String name, String failure) {
    return new VolumeStatus(
        name, null, 0, null, null, null, 0, 0, 0, null, List.of(), null, null, null, failure);
  }
}
