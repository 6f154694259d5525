// SPDX-License-Identifier: Apache-2.0
package io.vmferry.coordinator.migration;

import io.vmferry.api.VolumeState;
import io.vmferry.api.VolumeStatus;
import java.util.Collection;
import java.util.UUID;
import org.slf4j.spi.LoggingEventBuilder;

/**
 * Names what a log line of the agent is about, with the keys that the relay's lines have, so that
 * one search finds the lines of a handover in the logs of relay and agent, at both nodes. A domain
 * may have several volumes: their keys follow each other.
 */
final class DomainLog {
  private static final String VOLUME = "volume";
  private static final String MIGRATION = "migration";

  private DomainLog() {}

  /** A line about a domain, by the names of its volumes. */
  static LoggingEventBuilder about(
      LoggingEventBuilder line, UUID domain, Collection<String> volumes) {
    LoggingEventBuilder named = line;
    for (String volume : volumes) {
      named = named.addKeyValue(VOLUME, volume);
    }
    return named.addKeyValue(MIGRATION, domain);
  }

  /**
   * A line about volumes of a domain, as the relay has them.
   *
   * @param domain null if the relay knows of none
   */
  static LoggingEventBuilder aboutVolumes(
      LoggingEventBuilder line, UUID domain, Collection<VolumeStatus> volumes) {
    LoggingEventBuilder named = line;
    for (VolumeStatus volume : volumes) {
      named = named.addKeyValue(VOLUME, volume.name()).addKeyValue("epoch", volume.epoch());
      String peer = otherNode(volume);
      if (peer != null) {
        named = named.addKeyValue("peer", peer);
      }
    }
    return domain == null ? named : named.addKeyValue(MIGRATION, domain);
  }

  /** Who owns it instead, or whom it is fetched from. */
  private static String otherNode(VolumeStatus volume) {
    if (volume.state() == VolumeState.RELEASED || volume.state() == VolumeState.STANDBY) {
      return volume.epoch().owner();
    }
    return volume.fetch() == null ? null : volume.fetch().origin();
  }
}
