// SPDX-License-Identifier: Apache-2.0
package io.vmferry.coordinator;

import io.vmferry.coordinator.migration.PauseMarks;
import java.io.IOException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.Set;
import java.util.UUID;
import java.util.stream.Stream;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** An empty file per mark, named after the domain's UUID, in a directory on a tmpfs. */
final class PauseMarkFiles implements PauseMarks {
  private static final Logger log = LoggerFactory.getLogger(PauseMarkFiles.class);

  private final Path directory;

  /**
   * @param directory made when it is needed; its parent is there
   */
  PauseMarkFiles(Path directory) {
    this.directory = directory;
  }

  @Override
  public Set<UUID> read() throws IOException {
    Set<UUID> marks = new HashSet<>();
    try (Stream<Path> files = Files.list(directory)) {
      for (Path file : files.toList()) {
        try {
          marks.add(UUID.fromString(file.getFileName().toString()));
        } catch (IllegalArgumentException e) {
          log.warn("{} is not the mark of a domain and is ignored; remove it", file);
        }
      }
    } catch (NoSuchFileException e) {
      return Set.of();
    }
    return marks;
  }

  @Override
  public void add(UUID domain) throws IOException {
    Files.createDirectories(directory);
    try {
      Files.createFile(directory.resolve(domain.toString()));
    } catch (FileAlreadyExistsException e) {
      log.debug("domain {} is marked already", domain);
    }
  }

  @Override
  public void remove(UUID domain) throws IOException {
    Files.deleteIfExists(directory.resolve(domain.toString()));
  }
}
