// SPDX-License-Identifier: Apache-2.0
package io.vmferry.api;

import com.linecorp.armeria.common.util.DomainSocketAddress;
import com.linecorp.armeria.server.Server;
import com.linecorp.armeria.server.ServerBuilder;
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
import java.nio.file.attribute.PosixFilePermission;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.util.List;
import java.util.Set;
import java.util.concurrent.CompletionException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * HTTP on a Unix socket for annotated service objects.
 *
 * <p>A service method is public, takes the records of this package and path or query parameters,
 * and returns a record, a list of them, a {@code String} (plain text), nothing, or a {@code
 * CompletableFuture} of one of these. It runs on an event loop: one that waits for anything must
 * return a future, or carry Armeria's {@code @Blocking}. A {@link ProblemException} becomes its
 * {@link Problem}; an {@code IllegalArgumentException} a BAD_REQUEST; anything else is logged and
 * becomes INTERNAL.
 *
 * <p>Who may connect is decided by the socket's file mode alone.
 */
public final class ControlServer implements AutoCloseable {
  private static final Logger log = LoggerFactory.getLogger(ControlServer.class);

  /**
   * From the head of a request to its answer. The longest is a hook that attaches standbys and asks
   * every peer; the person at {@code virsh migrate} waits for it.
   */
  static final Duration REQUEST_TIMEOUT = Duration.ofSeconds(60);

  /** A request body in bytes: libvirt's domain XML is tens of KiB, all others are smaller. */
  static final int MAX_REQUEST_BYTES = 4 << 20;

  /** Simultaneous connections: a hook per domain, a few commands, the other process. */
  static final int MAX_CONNECTIONS = 256;

  /**
   * From close() to the end of requests still running: long enough to answer, short for systemd.
   */
  private static final Duration CLOSE_TIMEOUT = Duration.ofSeconds(2);

  /**
   * Without a request for so long the server stops at close(). Zero would make Armeria keep lately
   * used connections for a second, whether a request runs or not.
   */
  private static final Duration CLOSE_QUIET_PERIOD = Duration.ofMillis(1);

  private final Path socket;
  private final Object inode;
  private final Server server;

  private ControlServer(Path socket, Object inode, Server server) {
    this.socket = socket;
    this.inode = inode;
    this.server = server;
  }

  /**
   * Listens. Blocks until the socket is there with its mode; its directory must exist. A socket
   * file that nobody listens on is replaced.
   *
   * @param socket path of the socket, at most 80 bytes long
   * @param mode who may connect
   * @param services objects with Armeria's annotations
   * @throws IOException if another process listens on it, the path is taken by something that is
   *     not a socket, or it can't be bound
   */
  public static ControlServer start(Path socket, Set<PosixFilePermission> mode, Object... services)
      throws IOException {
    return start(socket, mode, REQUEST_TIMEOUT, services);
  }

  static ControlServer start(
      Path socket, Set<PosixFilePermission> mode, Duration requestTimeout, Object... services)
      throws IOException {
    refuseIfTaken(socket);
    Path parent = socket.toAbsolutePath().getParent();
    // Bound in a directory that only we may enter, so that nobody connects before the mode is set.
    Path nursery =
        Files.createTempDirectory(
            parent,
            ".s",
            PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rwx------")));
    Path newborn = nursery.resolve("s");
    Server server = build(newborn, requestTimeout, services);
    try {
      server.start().join();
      Files.setPosixFilePermissions(newborn, mode);
      Object inode = inodeOf(newborn);
      Files.move(newborn, socket, StandardCopyOption.ATOMIC_MOVE);
      log.info("the control API listens on {}", socket);
      return new ControlServer(socket, inode, server);
    } catch (CompletionException e) {
      server.close();
      throw new IOException(
          "can't listen on "
              + socket
              + ": "
              + e.getCause().getMessage()
              + "; correct paths.run in vmferry.yaml, or the mode of that directory",
          e.getCause());
    } catch (IOException | RuntimeException e) {
      server.close();
      throw e;
    } finally {
      Files.deleteIfExists(newborn);
      Files.deleteIfExists(nursery);
    }
  }

  private static Server build(Path path, Duration requestTimeout, Object... services) {
    ProblemErrorHandler problems = new ProblemErrorHandler(requestTimeout);
    JsonBodies bodies = new JsonBodies();
    ServerBuilder builder =
        Server.builder()
            .http(DomainSocketAddress.of(path))
            .requestTimeout(requestTimeout)
            .maxRequestLength(MAX_REQUEST_BYTES)
            .maxNumConnections(MAX_CONNECTIONS)
            // An idle timeout would make Armeria set a TCP option on a socket that isn't TCP. A
            // client on this host that goes away closes its connection, if only by dying.
            .idleTimeoutMillis(0)
            .bossGroupFactory(AcceptorGroup::new)
            .gracefulShutdownTimeout(CLOSE_QUIET_PERIOD, CLOSE_TIMEOUT)
            .disableServerHeader()
            .errorHandler(problems)
            .annotatedServiceExtensions(List.of(bodies), List.of(bodies), List.of(problems));
    for (Object service : services) {
      builder.annotatedService(service);
    }
    return builder.build();
  }

  private static void refuseIfTaken(Path socket) throws IOException {
    BasicFileAttributes attributes;
    try {
      attributes =
          Files.readAttributes(socket, BasicFileAttributes.class, LinkOption.NOFOLLOW_LINKS);
    } catch (NoSuchFileException e) {
      return;
    }
    if (!attributes.isOther()) {
      throw new IOException(
          "can't listen on " + socket + ": it exists and is not a socket; move it away");
    }
    try (SocketChannel probe = SocketChannel.open(StandardProtocolFamily.UNIX)) {
      probe.connect(UnixDomainSocketAddress.of(socket));
    } catch (ConnectException e) {
      return; // refused: its process is gone
    }
    throw new IOException("can't listen on " + socket + ": another process does; stop it first");
  }

  private static Object inodeOf(Path path) throws IOException {
    return Files.readAttributes(path, BasicFileAttributes.class).fileKey();
  }

  /** The socket's path. */
  public Path socket() {
    return socket;
  }

  /** Stops listening, lets running requests end for two seconds, and removes the socket file. */
  @Override
  public void close() {
    try {
      // A successor may have replaced the file already.
      if (Files.exists(socket) && inode.equals(inodeOf(socket))) {
        Files.delete(socket);
      }
    } catch (IOException e) {
      log.warn("can't remove {}, the next start replaces it: {}", socket, e.toString());
    }
    server.close();
  }
}
