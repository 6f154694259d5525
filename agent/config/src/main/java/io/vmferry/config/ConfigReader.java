// SPDX-License-Identifier: Apache-2.0
package io.vmferry.config;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.net.URI;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.function.Function;
import java.util.function.Predicate;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

/**
 * From YAML to {@link Config}: the one place that knows the keys, their defaults and their limits.
 */
final class ConfigReader {
  private static final String DEFAULT_LISTEN = "0.0.0.0:7820";
  private static final Path PKI = Path.of("/etc/vmferry/pki");
  private static final Path DEFAULT_RUN = Path.of("/run/vmferry");
  private static final Path DEFAULT_STATE = Path.of("/var/lib/vmferry");
  private static final String DEFAULT_LIBVIRT_URI = "qemu:///system";

  /** TCP connections: 4 fill a path with some loss; more than 16 only share the same bottleneck. */
  private static final int DEFAULT_CONNECTIONS = 4;

  private static final int MAX_CONNECTIONS = 16;

  /** As many volumes as no host has; beyond it, somebody mistook the number for bytes or days. */
  private static final int MAX_COPIES = 100_000;

  private static final String OFF = "off";
  private static final String FOREVER = "forever";
  private static final String ALL = "all";

  /**
   * Below the shortest usual time limit of a guest's disk driver, which is 30 seconds (SCSI, SATA
   * and NVMe in Linux), by the up to 5 seconds until a dead link is noticed and some more.
   */
  private static final Duration DEFAULT_PAUSE_AFTER = Duration.ofSeconds(20);

  /**
   * Bytes: a Unix socket's path has 107, and sockets are born in a directory beside their place.
   */
  private static final int MAX_RUN_PATH = 80;

  private static final Pattern GROUP = Pattern.compile("[a-z_][a-z0-9_-]{0,31}");

  /** QEMU's driver in any transport, and libvirt's own mock driver. */
  private static final Pattern LIBVIRT_SCHEME = Pattern.compile("(qemu|test)(\\+[a-z0-9]+)?");

  private final List<ConfigProblem> problems = new ArrayList<>();

  private ConfigReader() {}

  static Config read(String source, String yaml) throws ConfigException {
    ConfigReader reader = new ConfigReader();
    YamlNode.Mapping tree = YamlTree.read(yaml, reader.problems);
    // Broken syntax hides most keys: complaints about those would mislead.
    Config config =
        reader.problems.stream().anyMatch(p -> p.key().isEmpty()) ? null : reader.config(tree);
    if (!reader.problems.isEmpty()) {
      reader.problems.sort(Comparator.comparingInt(ConfigProblem::line));
      throw new ConfigException(source, reader.problems);
    }
    return config;
  }

  private Config config(YamlNode.Mapping tree) {
    Section root = new Section("", tree.children(), problems);
    String node = root.required("node", NodeName::check, NodeName.SYNTAX);
    HostPort listen = root.value("listen", HostPort::parse, HostPort.parse(DEFAULT_LISTEN));
    Map<String, HostPort> peers = peers(root, node);
    Config.Tls tls = tls(root.section("tls"));
    Config.Paths paths = paths(root.section("paths"));
    Config.Copy copy = copy(root.section("copy"));
    Config.Guest guest = guest(root.section("guest"));
    Config.Retention retention = retention(root.section("retention"));
    Config.Metrics metrics = metrics(root.section("metrics"));
    Section libvirt = root.section("libvirt");
    String uri = libvirt.value("uri", ConfigReader::libvirtUri, DEFAULT_LIBVIRT_URI);
    libvirt.refuseUnknown();
    Section log = root.section("log");
    LogLevel level = log.value("level", ConfigReader::logLevel, LogLevel.INFO);
    log.refuseUnknown();
    root.refuseUnknown();
    return new Config(node, listen, peers, tls, paths, copy, guest, retention, metrics, uri, level);
  }

  private static Map<String, HostPort> peers(Section root, String node) {
    Map<String, HostPort> peers = new LinkedHashMap<>();
    root.each("peers", name -> peerName(name, node), HostPort::parse, peers::put);
    return peers;
  }

  private static void peerName(String name, String self) {
    if (NodeName.check(name).equals(self)) {
      throw new IllegalArgumentException("this is the node itself; allowed: other nodes' names");
    }
  }

  private static Config.Tls tls(Section tls) {
    Path ca = tls.value("ca", ConfigReader::absolutePath, PKI.resolve("ca.crt"));
    Path certificate =
        tls.value("certificate", ConfigReader::absolutePath, PKI.resolve("node.crt"));
    Path key = tls.value("key", ConfigReader::absolutePath, PKI.resolve("node.key"));
    tls.refuseUnknown();
    return new Config.Tls(ca, certificate, key);
  }

  private static Config.Paths paths(Section paths) {
    Path run = paths.value("run", ConfigReader::runPath, DEFAULT_RUN);
    Path state = paths.value("state", ConfigReader::absolutePath, DEFAULT_STATE);
    Optional<String> group =
        paths.value("nbd-socket-group", text -> Optional.of(group(text)), Optional.empty());
    paths.refuseUnknown();
    return new Config.Paths(run, state, group);
  }

  private static Config.Copy copy(Section copy) {
    Optional<ByteRate> rateLimit =
        copy.value("rate-limit", ConfigReader::rateLimit, Optional.empty());
    int connections = copy.value("connections", ConfigReader::connections, DEFAULT_CONNECTIONS);
    PreCopyMode preCopy = copy.value("pre-copy", PreCopyMode::parse, PreCopyMode.NONE);
    copy.refuseUnknown();
    return new Config.Copy(rateLimit, connections, preCopy);
  }

  private static Config.Guest guest(Section guest) {
    Optional<Duration> pauseAfter =
        guest.value("pause-after", ConfigReader::pauseAfter, Optional.of(DEFAULT_PAUSE_AFTER));
    guest.refuseUnknown();
    return new Config.Guest(pauseAfter);
  }

  private static Optional<Duration> pauseAfter(String text) {
    Optional<Duration> time = timeOr(OFF, text);
    if (time.isPresent() && time.get().isZero()) {
      throw new IllegalArgumentException(
          "'" + text + "' is too short; allowed: at least 1 s, or " + OFF);
    }
    return time;
  }

  private static Config.Retention retention(Section retention) {
    Optional<Duration> keepFor =
        retention.value("keep-for", text -> timeOr(FOREVER, text), Optional.of(Duration.ZERO));
    Optional<Integer> keepCopies =
        retention.value("keep-copies", ConfigReader::keepCopies, Optional.empty());
    retention.refuseUnknown();
    return new Config.Retention(keepFor, keepCopies);
  }

  /** A time, or a word that stands for none. */
  private static Optional<Duration> timeOr(String word, String text) {
    if (text.equals(word)) {
      return Optional.empty();
    }
    try {
      return Optional.of(TimeSpan.parse(text));
    } catch (IllegalArgumentException e) {
      throw new IllegalArgumentException(e.getMessage() + ", or " + word, e);
    }
  }

  private static Config.Metrics metrics(Section metrics) {
    Optional<HostPort> relay =
        metrics.value("relay-listen", ConfigReader::addressOrOff, Optional.empty());
    Optional<HostPort> agent =
        metrics.value("agent-listen", ConfigReader::addressOrOff, Optional.empty());
    metrics.refuseUnknown();
    return new Config.Metrics(relay, agent);
  }

  private static Optional<HostPort> addressOrOff(String text) {
    if (text.equals(OFF)) {
      return Optional.empty();
    }
    try {
      return Optional.of(HostPort.parse(text));
    } catch (IllegalArgumentException e) {
      throw new IllegalArgumentException(e.getMessage() + ", or " + OFF, e);
    }
  }

  private static Optional<Integer> keepCopies(String text) {
    if (text.equals(ALL)) {
      return Optional.empty();
    }
    return Optional.of(
        parsed(
            text,
            Integer::valueOf,
            count -> count >= 0 && count <= MAX_COPIES,
            "a number of copies",
            "0 to " + MAX_COPIES + ", or " + ALL));
  }

  private static String group(String text) {
    return parsed(
        text,
        Function.identity(),
        name -> GROUP.matcher(name).matches(),
        "a group",
        "the name of a Unix group, such as kvm");
  }

  private static Path absolutePath(String text) {
    return parsed(text, Path::of, Path::isAbsolute, "an absolute path", "a path that begins with /")
        .normalize();
  }

  private static Path runPath(String text) {
    Path path = absolutePath(text);
    if (path.toString().getBytes(UTF_8).length > MAX_RUN_PATH) {
      throw new IllegalArgumentException(
          "'" + text + "' is too long for the sockets in it; allowed: " + MAX_RUN_PATH + " bytes");
    }
    return path;
  }

  private static Optional<ByteRate> rateLimit(String text) {
    try {
      return ByteRate.parseLimit(text);
    } catch (IllegalArgumentException e) {
      throw new IllegalArgumentException(e.getMessage() + ", or none", e);
    }
  }

  private static int connections(String text) {
    return parsed(
        text,
        Integer::valueOf,
        count -> count >= 1 && count <= MAX_CONNECTIONS,
        "a number of connections",
        "1 to " + MAX_CONNECTIONS);
  }

  private static String libvirtUri(String text) {
    return parsed(
            text,
            URI::create,
            uri -> uri.getScheme() != null && LIBVIRT_SCHEME.matcher(uri.getScheme()).matches(),
            "a URI of libvirt's QEMU driver",
            "such as qemu:///system")
        .toString();
  }

  private static LogLevel logLevel(String text) {
    for (LogLevel level : LogLevel.values()) {
      if (level.name().toLowerCase(Locale.ROOT).equals(text)) {
        return level;
      }
    }
    String allowed =
        Arrays.stream(LogLevel.values())
            .map(level -> level.name().toLowerCase(Locale.ROOT))
            .collect(Collectors.joining(", "));
    throw refused(text, "a log level", allowed, null);
  }

  private static <T> T parsed(
      String text, Function<String, T> parser, Predicate<T> check, String kind, String allowed) {
    T value;
    try {
      value = parser.apply(text);
    } catch (IllegalArgumentException e) {
      throw refused(text, kind, allowed, e);
    }
    if (!check.test(value)) {
      throw refused(text, kind, allowed, null);
    }
    return value;
  }

  private static IllegalArgumentException refused(
      String text, String kind, String allowed, Throwable cause) {
    return new IllegalArgumentException(
        "'" + text + "' is not " + kind + "; allowed: " + allowed, cause);
  }
}
