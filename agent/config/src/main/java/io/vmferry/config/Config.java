// SPDX-License-Identifier: Apache-2.0
package io.vmferry.config;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Map;
import java.util.Optional;

/**
 * The configuration of one node, shared by relay, agent and command line. What each key means and
 * may be is written in {@code config/vmferry.yaml}.
 *
 * @param node this node's name, the CN of its certificate
 * @param listen where the relay takes connections of peers
 * @param peers the other nodes by name, never this one
 * @param tls the certificates
 * @param paths where sockets and volumes are
 * @param copy the background copy
 * @param guest what the agent does to guests
 * @param retention what becomes of copies of volumes that have left
 * @param metrics where Prometheus may read
 * @param libvirtUri what the agent connects to
 * @param logLevel from which severity on the log is written
 */
public record Config(
    String node,
    HostPort listen,
    Map<String, HostPort> peers,
    Tls tls,
    Paths paths,
    Copy copy,
    Guest guest,
    Retention retention,
    Metrics metrics,
    String libvirtUri,
    LogLevel logLevel) {

  /** Where the configuration is unless the command line says otherwise. */
  public static final Path DEFAULT_FILE = Path.of("/etc/vmferry/vmferry.yaml");

  /** Bytes: room for thousands of peers, and a limit for a path that is no configuration at all. */
  private static final int MAX_FILE_BYTES = 1 << 20;

  public Config {
    peers = Map.copyOf(peers);
  }

  /**
   * Certificates, PEM.
   *
   * @param ca of the authority that signed every node's certificate
   * @param certificate of this node
   * @param key of this node, PKCS #8 without password
   */
  public record Tls(Path ca, Path certificate, Path key) {}

  /**
   * Directories.
   *
   * @param run sockets, and state that need not survive a reboot
   * @param state volumes
   * @param nbdSocketGroup group that may connect to the NBD socket; empty for the relay's own user
   */
  public record Paths(Path run, Path state, Optional<String> nbdSocketGroup) {
    /** Where the local QEMU connects. */
    public Path nbdSocket() {
      return run.resolve("nbd.sock");
    }

    /** The relay's control API. */
    public Path relaySocket() {
      return run.resolve("relay.sock");
    }

    /** The agent's control API. */
    public Path agentSocket() {
      return run.resolve("agent.sock");
    }

    /**
     * Which domains the agent has paused; in {@code run}, because it ends with the host's QEMUs.
     */
    public Path pausedDomains() {
      return run.resolve("paused-domains");
    }

    /** One directory per volume. */
    public Path volumes() {
      return state.resolve("volumes");
    }
  }

  /**
   * The background copy.
   *
   * @param rateLimit cap over all volumes; empty for none
   * @param connections parallel TCP connections to one peer, 1 to 16
   * @param preCopy what new standbys on this node copy before the handover
   */
  public record Copy(Optional<ByteRate> rateLimit, int connections, PreCopyMode preCopy) {}

  /**
   * What the agent does to guests.
   *
   * @param pauseAfter how long the link to the origin may be down before a guest that waits for it
   *     is paused; empty for never
   */
  public record Guest(Optional<Duration> pauseAfter) {}

  /**
   * What becomes of this node's copy of a volume that is complete at its new owner.
   *
   * @param keepFor how long it stays, from the time on that it is complete elsewhere; zero to
   *     delete it at once, empty for ever
   * @param keepCopies how many such copies stay at most, those that left last; empty for all
   */
  public record Retention(Optional<Duration> keepFor, Optional<Integer> keepCopies) {}

  /**
   * Where Prometheus may read, beside the control sockets.
   *
   * @param relayListen address of the relay's metrics; empty for none
   * @param agentListen address of the agent's metrics; empty for none
   */
  public record Metrics(Optional<HostPort> relayListen, Optional<HostPort> agentListen) {}

  /**
   * Reads a file.
   *
   * @throws IOException if it can't be read
   * @throws ConfigException if it is wrong, with all that is wrong
   */
  public static Config load(Path file) throws IOException, ConfigException {
    if (Files.size(file) > MAX_FILE_BYTES) {
      throw new IOException(file + " is larger than 1 MiB: not a configuration of vmferry");
    }
    return parse(file.toString(), Files.readString(file));
  }

  /**
   * Reads text.
   *
   * @param source what to call it in messages
   * @throws ConfigException if it is wrong, with all that is wrong
   */
  public static Config parse(String source, String yaml) throws ConfigException {
    return ConfigReader.read(source, yaml);
  }
}
