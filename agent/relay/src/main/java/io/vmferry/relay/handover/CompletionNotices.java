// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.handover;

import io.vmferry.relay.peer.WireIds;
import io.vmferry.relay.peer.wire.Complete;
import io.vmferry.relay.peer.wire.Frame;
import io.vmferry.relay.volume.Volume;
import io.vmferry.relay.volume.VolumeLog;
import io.vmferry.relay.volume.VolumeRecord;
import io.vmferry.relay.volume.Volumes;
import java.time.Duration;
import java.util.HashSet;
import java.util.Set;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Tells origins that every block is here, durably, so that their replicas may go. Repeated until
 * the origin has noted it. Loop only.
 */
public final class CompletionNotices {
  private static final Logger log = LoggerFactory.getLogger(CompletionNotices.class);

  /** Between two attempts; nobody waits for it but the retirement of the source. */
  private static final Duration RETRY = Duration.ofSeconds(5);

  private final Volumes volumes;
  private final Peers peers;
  private final Set<Volume> underWay = new HashSet<>();

  public CompletionNotices(Volumes volumes, Peers peers) {
    this.volumes = volumes;
    this.peers = peers;
  }

  /** At start: origins that were not told before the relay ended. */
  public void start() {
    volumes.all().forEach(this::tell);
  }

  /** The control connection to a peer is up again: what could not be told before is told now. */
  public void linkUp(String node) {
    for (Volume volume : volumes.all()) {
      VolumeRecord.Origin origin = volume.record().origin();
      if (origin != null && origin.node().equals(node)) {
        tell(volume);
      }
    }
  }

  /** The volume may have become complete. */
  public void tell(Volume volume) {
    VolumeRecord record = volume.record();
    boolean due = record.origin() != null && record.held() == VolumeRecord.Held.ALL;
    if (due && volumes.byName(record.name()) == volume && underWay.add(volume)) {
      send(volume, record.origin());
    }
  }

  private void send(Volume volume, VolumeRecord.Origin origin) {
    Complete complete =
        Complete.newBuilder()
            .setUuid(WireIds.bytes(volume.record().uuid()))
            .setEpoch(WireIds.epoch(origin.epoch()))
            .build();
    var unused =
        ControlCall.ask(
                peers.link(origin.node()),
                Frame.newBuilder().setComplete(complete).build(),
                volumes.shared().loop(),
                (answer, payload) -> answer)
            .whenComplete(
                (answer, error) -> {
                  underWay.remove(volume);
                  if (error == null) {
                    forget(volume, origin);
                  } else {
                    volumes.shared().loop().after(RETRY, () -> tell(volume));
                  }
                });
  }

  private void forget(Volume volume, VolumeRecord.Origin origin) {
    volumes.note(
        volume,
        record -> origin.equals(record.origin()) ? record.withoutOrigin() : record,
        (record, error) -> {
          if (error != null) {
            VolumeLog.about(log.atWarn(), record, origin.node())
                .log("volume {}: {}", record.name(), error.getMessage());
          }
        });
  }
}
