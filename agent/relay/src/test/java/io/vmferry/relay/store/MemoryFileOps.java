// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.store;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;

/**
 * A file system in memory that keeps only what was forced, and can fail or stop at any primitive
 * operation. Not thread-safe.
 */
public final class MemoryFileOps implements FileOps {

  /** The process died here. */
  public static final class Crash extends RuntimeException {
    private static final long serialVersionUID = 1L;
  }

  /** An inode: what is on the disk, and what the page cache has. */
  private static final class Node {
    byte[] durable = {};
    byte[] cached = {};
  }

  /** An operation that no force has covered yet. Exactly one of node and directory is set. */
  private static final class Pending {
    Node node;
    Path directory;
    int at;
    byte[] bytes;
    boolean truncates;
    Map<Path, Node> names; // null value: the name goes away
  }

  private final Map<Path, Node> durableNames = new HashMap<>();
  private final Map<Path, Node> names = new HashMap<>();
  private final List<Pending> unforced = new ArrayList<>();
  private final List<String> log = new ArrayList<>();

  /** Which kinds of operation are silently left out, to prove that a test notices. */
  private final Set<String> skipped = new HashSet<>();

  private int operations;
  private int crashAt = Integer.MAX_VALUE;
  private int failAt = Integer.MAX_VALUE;
  private boolean failForever;
  private IOException failure;
  private Runnable watcher = () -> {};

  public MemoryFileOps() {}

  /** As the other is now. */
  public MemoryFileOps(MemoryFileOps other) {
    IdentityHashMap<Node, Node> copies = new IdentityHashMap<>();
    other.durableNames.forEach((path, node) -> durableNames.put(path, copy(node, copies)));
    other.names.forEach((path, node) -> names.put(path, copy(node, copies)));
    for (Pending pending : other.unforced) {
      Pending mine = new Pending();
      mine.node = copy(pending.node, copies);
      mine.directory = pending.directory;
      mine.at = pending.at;
      mine.bytes = pending.bytes;
      mine.truncates = pending.truncates;
      if (pending.names != null) {
        mine.names = new HashMap<>();
        pending.names.forEach((path, node) -> mine.names.put(path, copy(node, copies)));
      }
      unforced.add(mine);
    }
  }

  private static Node copy(Node node, IdentityHashMap<Node, Node> copies) {
    if (node == null) {
      return null;
    }
    return copies.computeIfAbsent(
        node,
        key -> {
          Node mine = new Node();
          // Contents are replaced, never changed in place.
          mine.durable = key.durable;
          mine.cached = key.cached;
          return mine;
        });
  }

  /** Calls {@code newWatcher} before each operation. */
  public void watch(Runnable newWatcher) {
    watcher = newWatcher;
  }

  /** Files that the process sees. */
  public Set<Path> files() {
    return Set.copyOf(names.keySet());
  }

  /** A fingerprint of all files and of what a power loss might make of them. */
  public long image() {
    long hash = names.size();
    for (Map<Path, Node> each : List.of(names, durableNames)) {
      for (Map.Entry<Path, Node> entry : new TreeMap<>(each).entrySet()) {
        hash = ImageHash.mix(hash, entry.getKey().hashCode());
        hash = ImageHash.mix(hash, ImageHash.of(entry.getValue().cached));
        hash = ImageHash.mix(hash, ImageHash.of(entry.getValue().durable));
      }
    }
    for (Pending pending : unforced) {
      hash = ImageHash.mix(hash, pending.at);
      hash = ImageHash.mix(hash, pending.bytes == null ? -1 : ImageHash.of(pending.bytes));
      hash = ImageHash.mix(hash, pending.names == null ? -1 : pending.names.keySet().hashCode());
    }
    return hash;
  }

  /** Operations done so far, those that failed included. */
  public int operations() {
    return operations;
  }

  /** Operations that a power loss might undo now. */
  public int unforced() {
    return unforced.size();
  }

  /** All operations, for a look at a failed test. */
  public List<String> log() {
    return log;
  }

  /** The process dies instead of doing operation {@code number}, counted from 0. */
  public void crashAt(int number) {
    crashAt = number;
  }

  /** Operation {@code number}, counted from 0, fails; later ones too if {@code forever}. */
  public void failAt(int number, IOException error, boolean forever) {
    failAt = number;
    failure = error;
    failForever = forever;
  }

  /** From now on {@code force} or {@code forceDirectory} lie. */
  public void skip(String operation) {
    skipped.add(operation);
  }

  /** The host goes down and comes back: what {@code loss} spares of the unforced is on the disk. */
  public void crash(LossModel loss) {
    for (int i = 0; i < unforced.size(); i++) {
      Pending pending = unforced.get(i);
      LossModel.Fate fate = loss.fate(i);
      if (pending.names != null) {
        if (fate == LossModel.Fate.KEPT) {
          rename(durableNames, pending.names);
        }
      } else {
        applyTo(pending, fate);
      }
    }
    unforced.clear();
    names.clear();
    names.putAll(durableNames);
    names.values().forEach(node -> node.cached = node.durable);
    crashAt = Integer.MAX_VALUE;
    failAt = Integer.MAX_VALUE;
    failForever = false;
  }

  private static void applyTo(Pending pending, LossModel.Fate fate) {
    Node node = pending.node;
    if (pending.truncates) {
      node.durable = fate == LossModel.Fate.KEPT ? new byte[0] : node.durable;
      return;
    }
    int end = pending.at + pending.bytes.length;
    int middle = (pending.at + end) / 2 / LossModel.SECTOR_BYTES * LossModel.SECTOR_BYTES;
    middle = Math.max(pending.at, middle);
    switch (fate) {
      case KEPT -> put(node, pending, pending.at, end);
      case TORN_HEAD -> put(node, pending, pending.at, middle);
      case TORN_TAIL -> put(node, pending, middle, end);
      case LOST -> {}
    }
  }

  private static void put(Node node, Pending pending, int from, int to) {
    if (from < to) {
      node.durable = Arrays.copyOf(node.durable, Math.max(node.durable.length, to));
      System.arraycopy(pending.bytes, from - pending.at, node.durable, from, to - from);
    }
  }

  private static void rename(Map<Path, Node> target, Map<Path, Node> change) {
    change.forEach(
        (path, node) -> {
          if (node == null) {
            target.remove(path);
          } else {
            target.put(path, node);
          }
        });
  }

  private void step(String operation) throws IOException {
    watcher.run();
    int number = operations++;
    log.add(number + " " + operation);
    if (number >= crashAt) {
      throw new Crash();
    }
    if (number == failAt || (number > failAt && failForever)) {
      throw failure;
    }
  }

  private void change(Path directory, Map<Path, Node> change) {
    rename(names, change);
    Pending pending = new Pending();
    pending.directory = directory;
    pending.names = change;
    unforced.add(pending);
  }

  private Node node(Path file) throws NoSuchFileException {
    Node node = names.get(file);
    if (node == null) {
      throw new NoSuchFileException(file.toString());
    }
    return node;
  }

  /** The content as the process sees it, outside the count of operations. */
  public byte[] content(Path file) throws IOException {
    return node(file).cached.clone();
  }

  /** Puts a durable file there, outside the count of operations. */
  public void put(Path file, byte[] content) {
    Node node = new Node();
    node.durable = content.clone();
    node.cached = content.clone();
    names.put(file, node);
    durableNames.put(file, node);
  }

  @Override
  public byte[] read(Path file, long limit) throws IOException {
    step("read " + file);
    byte[] content = node(file).cached;
    if (content.length > limit) {
      throw new BrokenFileException(file, "it is too long");
    }
    return content.clone();
  }

  @Override
  public Output create(Path file) throws IOException {
    step("create " + file);
    Node node = names.get(file);
    if (node == null) {
      node = new Node();
      Map<Path, Node> change = new HashMap<>();
      change.put(file, node);
      change(file.getParent(), change);
    } else {
      Pending pending = new Pending();
      pending.node = node;
      pending.truncates = true;
      unforced.add(pending);
      node.cached = new byte[0];
    }
    return new MemoryOutput(file, node);
  }

  @Override
  public void rename(Path from, Path to) throws IOException {
    step("rename " + from + " " + to);
    Map<Path, Node> change = new HashMap<>();
    change.put(to, node(from));
    change.put(from, null);
    change(to.getParent(), change);
  }

  @Override
  public void delete(Path file) throws IOException {
    step("delete " + file);
    if (names.containsKey(file)) {
      Map<Path, Node> change = new HashMap<>();
      change.put(file, null);
      change(file.getParent(), change);
    }
  }

  @Override
  public List<Path> list(Path directory) throws IOException {
    step("list " + directory);
    return names.keySet().stream().filter(path -> directory.equals(path.getParent())).toList();
  }

  @Override
  public void forceDirectory(Path directory) throws IOException {
    step("forceDirectory " + directory);
    if (skipped.contains("forceDirectory")) {
      return;
    }
    for (Pending pending : unforced) {
      if (directory.equals(pending.directory)) {
        rename(durableNames, pending.names);
      }
    }
    unforced.removeIf(pending -> directory.equals(pending.directory));
  }

  private final class MemoryOutput implements Output {
    private final Path file;
    private final Node node;

    MemoryOutput(Path file, Node node) {
      this.file = file;
      this.node = node;
    }

    @Override
    public void write(ByteBuffer bytes) throws IOException {
      byte[] all = new byte[bytes.remaining()];
      bytes.get(all);
      try {
        step("write " + file + " " + all.length);
      } catch (IOException e) {
        // A failed write may have done a part.
        put(node.cached.length, Arrays.copyOf(all, all.length / 2));
        throw e;
      }
      put(node.cached.length, all);
    }

    @Override
    public void overwrite(long offset, ByteBuffer bytes) throws IOException {
      byte[] all = new byte[bytes.remaining()];
      bytes.get(all);
      if (offset + all.length > node.cached.length) {
        throw new IllegalArgumentException("behind the end of " + file);
      }
      try {
        step("overwrite " + file + " " + offset + " " + all.length);
      } catch (IOException e) {
        put((int) offset, Arrays.copyOf(all, all.length / 2));
        throw e;
      }
      put((int) offset, all);
    }

    private void put(int at, byte[] bytes) {
      Pending pending = new Pending();
      pending.node = node;
      pending.at = at;
      pending.bytes = bytes;
      unforced.add(pending);
      // Contents are replaced, never changed in place.
      node.cached = Arrays.copyOf(node.cached, Math.max(node.cached.length, at + bytes.length));
      System.arraycopy(bytes, 0, node.cached, pending.at, bytes.length);
    }

    @Override
    public void force() throws IOException {
      step("force " + file);
      if (skipped.contains("force")) {
        return;
      }
      for (Pending pending : unforced) {
        if (pending.node == node) {
          applyTo(pending, LossModel.Fate.KEPT);
        }
      }
      unforced.removeIf(pending -> pending.node == node);
    }

    @Override
    public void close() throws IOException {
      step("close " + file);
    }
  }
}
