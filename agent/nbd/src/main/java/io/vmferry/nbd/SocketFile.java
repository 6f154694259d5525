// SPDX-License-Identifier: Apache-2.0
package io.vmferry.nbd;

import java.io.IOException;
import java.net.ConnectException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.BasicFileAttributes;
import java.nio.file.attribute.FileTime;
import java.nio.file.attribute.PosixFilePermission;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.Set;

/**
 * The file of a listening Unix socket. It is bound under a temporary name and renamed when it has
 * its mode: clients never meet it with another one, and never miss it while a stale one is
 * replaced. (Netty removes the name that was bound when it closes the socket, whoever's file that
 * is by then; the temporary name is nobody's.) Blocking.
 */
final class SocketFile {

  /** What tells this file from a later one of the same name; inode numbers are used again. */
  private record Identity(Object key, FileTime modified) {}

  private final Path path;
  private final Path temporary;
  private Identity identity;

  SocketFile(Path path) {
    this.path = path;
    temporary = path.resolveSibling(path.getFileName() + ".new");
  }

  /**
   * Checks that the name is free, or that only a killed process's socket has it.
   *
   * @return the path to bind
   * @throws IOException if a process listens there, or something else than a socket is there
   */
  Path prepare() throws IOException {
    try {
      if (!attributes(path).isOther()) {
        throw new IOException(
            "%s exists and is not a socket: move it away, or configure another socket path"
                .formatted(path));
      }
      if (isAnswered()) {
        throw new IOException(
            "A process already listens on %s: stop it, or configure another socket path"
                .formatted(path));
      }
    } catch (NoSuchFileException e) {
      // The usual case: the last server removed its file.
    }
    Files.deleteIfExists(temporary);
    return temporary;
  }

  /** After the bind: sets who may connect, and lets them. */
  void publish(Set<PosixFilePermission> mode) throws IOException {
    try {
      Files.setPosixFilePermissions(temporary, mode);
      identity = identity(temporary);
      Files.move(temporary, path, StandardCopyOption.ATOMIC_MOVE);
    } catch (IOException e) {
      throw new IOException(
          "Can't make %s a socket with mode %s: %s"
              .formatted(path, PosixFilePermissions.toString(mode), e),
          e);
    }
  }

  /** Removes the file unless somebody else has put another one there. */
  void remove() throws IOException {
    try {
      if (identity(path).equals(identity)) {
        Files.delete(path);
      }
    } catch (NoSuchFileException e) {
      // Somebody was faster; that is what was wanted.
    }
  }

  private static Identity identity(Path file) throws IOException {
    BasicFileAttributes found = attributes(file);
    return new Identity(found.fileKey(), found.lastModifiedTime());
  }

  private static BasicFileAttributes attributes(Path file) throws IOException {
    return Files.readAttributes(file, BasicFileAttributes.class, LinkOption.NOFOLLOW_LINKS);
  }

  /** Only a refused connection proves that nobody listens; a full backlog is a sign of life. */
  private boolean isAnswered() throws IOException {
    try (SocketChannel probe = SocketChannel.open(StandardProtocolFamily.UNIX)) {
      probe.configureBlocking(false);
      probe.connect(UnixDomainSocketAddress.of(path));
      return true;
    } catch (ConnectException e) {
      return false;
    }
  }
}
