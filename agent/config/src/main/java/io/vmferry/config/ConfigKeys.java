// SPDX-License-Identifier: Apache-2.0
package io.vmferry.config;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.function.Function;

/** The keys of the file and where their values are, in the order of the file. */
final class ConfigKeys {
  private static final Map<String, Function<Config, Object>> VALUES = new LinkedHashMap<>();

  static {
    VALUES.put("node", Config::node);
    VALUES.put("listen", Config::listen);
    VALUES.put("peers", Config::peers);
    VALUES.put("tls.ca", config -> config.tls().ca());
    VALUES.put("tls.certificate", config -> config.tls().certificate());
    VALUES.put("tls.key", config -> config.tls().key());
    VALUES.put("paths.run", config -> config.paths().run());
    VALUES.put("paths.state", config -> config.paths().state());
    VALUES.put("paths.nbd-socket-group", config -> config.paths().nbdSocketGroup());
    VALUES.put("copy.rate-limit", config -> config.copy().rateLimit());
    VALUES.put("copy.connections", config -> config.copy().connections());
    VALUES.put("copy.pre-copy", config -> config.copy().preCopy());
    VALUES.put("guest.pause-after", config -> config.guest().pauseAfter());
    VALUES.put("retention.keep-for", config -> config.retention().keepFor());
    VALUES.put("retention.keep-copies", config -> config.retention().keepCopies());
    VALUES.put("metrics.relay-listen", config -> config.metrics().relayListen());
    VALUES.put("metrics.agent-listen", config -> config.metrics().agentListen());
    VALUES.put("libvirt.uri", Config::libvirtUri);
    VALUES.put("log.level", Config::logLevel);
  }

  private ConfigKeys() {}

  static Set<String> all() {
    return VALUES.keySet();
  }

  /** The keys whose values differ. */
  static List<String> changed(Config older, Config newer) {
    return VALUES.entrySet().stream()
        .filter(key -> !Objects.equals(key.getValue().apply(older), key.getValue().apply(newer)))
        .map(Map.Entry::getKey)
        .toList();
  }
}
