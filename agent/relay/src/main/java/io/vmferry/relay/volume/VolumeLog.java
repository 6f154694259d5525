// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.volume;

import io.vmferry.api.VolumeState;
import org.slf4j.spi.LoggingEventBuilder;

/**
 * Names what a log line is about, so that the lines of one handover can be found in the logs of
 * both nodes: the keys volume, epoch, peer and migration. The last one is the UUID of the domain
 * that the volume moves with, the same on both nodes and for all its volumes.
 */
public final class VolumeLog {
  private VolumeLog() {}

  /** A line about a replica; its peer is who owns it instead, or whom it came from. */
  public static LoggingEventBuilder about(LoggingEventBuilder line, VolumeRecord record) {
    return about(line, record, otherNode(record));
  }

  /**
   * The same about what it has to do with another node.
   *
   * @param peer null for none
   */
  public static LoggingEventBuilder about(
      LoggingEventBuilder line, VolumeRecord record, String peer) {
    LoggingEventBuilder named =
        line.addKeyValue("volume", record.name()).addKeyValue("epoch", record.epoch());
    if (peer != null) {
      named = named.addKeyValue("peer", peer);
    }
    return record.domain() == null ? named : named.addKeyValue("migration", record.domain());
  }

  private static String otherNode(VolumeRecord record) {
    if (record.state() == VolumeState.RELEASED || record.state() == VolumeState.STANDBY) {
      return record.epoch().owner();
    }
    return record.origin() == null ? null : record.origin().node();
  }
}
