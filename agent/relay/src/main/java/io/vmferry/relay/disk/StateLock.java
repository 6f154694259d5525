// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.disk;

import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.channels.OverlappingFileLockException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Keeps a second relay away from a state directory, before it reads anything there: loading cleans
 * up what it takes for leftovers of a crash, and would take away what the first is writing. The
 * kernel gives the lock back when the process ends, however it ends. Blocking.
 */
public final class StateLock implements AutoCloseable {
  private static final Logger log = LoggerFactory.getLogger(StateLock.class);

  private static final String FILE = "relay.lock";

  private final FileChannel channel;

  private StateLock(FileChannel channel) {
    this.channel = channel;
  }

  /**
   * Takes the lock; the directory is made if missing.
   *
   * @throws IOException if another relay has it, or the directory can't be written
   */
  public static StateLock take(Path stateDirectory) throws IOException {
    Path file = Files.createDirectories(stateDirectory).resolve(FILE);
    FileChannel channel =
        FileChannel.open(file, StandardOpenOption.CREATE, StandardOpenOption.WRITE);
    try {
      FileLock lock = channel.tryLock();
      if (lock != null) {
        return new StateLock(channel);
      }
    } catch (OverlappingFileLockException e) {
      // This very process has it, through another channel.
    } catch (IOException e) {
      channel.close();
      throw e;
    }
    channel.close();
    throw new IOException(
        "another relay already uses "
            + stateDirectory
            + "; stop that one, or configure another paths.state");
  }

  /** Gives the lock back; the file stays, since removing it would race with the next relay. */
  @Override
  public void close() {
    try {
      channel.close();
    } catch (IOException e) {
      // The kernel has given it back all the same.
      log.warn("the lock of the state directory was not closed cleanly: {}", e.getMessage());
    }
  }
}
