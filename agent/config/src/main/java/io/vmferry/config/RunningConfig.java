// SPDX-License-Identifier: Apache-2.0
package io.vmferry.config;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/**
 * The configuration of a process that runs, and what becomes of it when its file is read again: all
 * of a good file, as far as it can be applied to a running process, and nothing of a bad one.
 * Thread-safe.
 */
public final class RunningConfig {

  /** Reads the file. */
  @FunctionalInterface
  public interface Source {
    /**
     * Reads it anew.
     *
     * @throws IOException if it can't be read
     * @throws ConfigException if it is wrong
     */
    Config read() throws IOException, ConfigException;
  }

  /** Something of a process that follows the file. */
  @FunctionalInterface
  public interface Part {
    /**
     * Gets ready for a newer configuration; changes nothing yet.
     *
     * @return what there is to do; empty if it concerns nothing of this
     * @throws IOException if it can't be applied, such as a certificate that can't be read; the
     *     message says why, and nothing of the file is applied
     */
    Optional<Change> prepare(Config newer) throws IOException;
  }

  /**
   * A change that is ready.
   *
   * @param text what it is, for the log
   * @param apply does it, and does not fail
   */
  public record Change(String text, Runnable apply) {}

  /**
   * What became of a file.
   *
   * @param applied changes that are in force
   * @param atRestart keys whose new values need a restart of the process
   */
  public record Outcome(List<String> applied, List<String> atRestart) {}

  private final Config atStart;
  private final Source source;
  private final List<Part> parts = new ArrayList<>();
  private Set<String> readAtStart = Set.of();

  /**
   * @param atStart what the process was started with
   * @param source reads the same file again
   */
  public RunningConfig(Config atStart, Source source) {
    this.atStart = atStart;
    this.source = source;
  }

  /** What the process was started with. */
  public Config atStart() {
    return atStart;
  }

  /** Adds a part that follows the file from now on. */
  public synchronized void add(Part part) {
    parts.add(part);
  }

  /**
   * Names the keys that the process has read when it started, and never again.
   *
   * @param keys as they stand in the file, with dots
   */
  public synchronized void readAtStart(Set<String> keys) {
    if (!ConfigKeys.all().containsAll(keys)) {
      throw new IllegalArgumentException("unknown keys in " + keys);
    }
    readAtStart = Set.copyOf(keys);
  }

  /**
   * Reads the file again and applies what can be applied. Blocks.
   *
   * @throws IOException if the file can't be read or applied: nothing is changed
   * @throws ConfigException if the file is wrong: nothing is changed
   */
  public synchronized Outcome reload() throws IOException, ConfigException {
    Config newer = source.read();
    List<Change> changes = new ArrayList<>();
    for (Part part : parts) {
      part.prepare(newer).ifPresent(changes::add);
    }
    changes.forEach(change -> change.apply().run());
    return new Outcome(
        changes.stream().map(Change::text).toList(),
        ConfigKeys.changed(atStart, newer).stream().filter(readAtStart::contains).toList());
  }
}
