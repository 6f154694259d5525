// SPDX-License-Identifier: Apache-2.0
package io.vmferry.cli.volume;

import io.vmferry.api.RelayClient;
import io.vmferry.api.VolumeStatus;
import io.vmferry.api.VolumeStatus.FetchStatus;
import io.vmferry.cli.base.ConfiguredCommand;
import io.vmferry.cli.base.Surroundings;
import io.vmferry.cli.status.StatusView;
import io.vmferry.cli.text.Progress;
import io.vmferry.config.ByteSize;
import picocli.CommandLine.Command;
import picocli.CommandLine.Parameters;

/** Shows all that is known of one replica. */
@Command(name = "show", description = "Show all that this node knows of a volume.")
public final class VolumeShow extends ConfiguredCommand {
  @Parameters(paramLabel = "NAME", description = "The volume.")
  private String name;

  public VolumeShow(Surroundings surroundings) {
    super(surroundings);
  }

  @Override
  public Integer call() throws Exception {
    try (RelayClient relay = relay()) {
      show(await(relay.volume(name)));
      return OK;
    }
  }

  private void show(VolumeStatus volume) {
    line("name", volume.name());
    line("uuid", volume.uuid());
    line("state", volume.state());
    line("size", exact(volume.size()));
    line(
        "present",
        exact(volume.present()) + ", " + Progress.percent(volume.present(), volume.size()));
    line("on disk", exact(volume.allocated()));
    line("epoch", volume.epoch());
    line("domain", volume.domain());
    line("clients", volume.clients());
    if (volume.fetch() != null) {
      show(volume.fetch());
    }
    volume
        .replicas()
        .forEach(replica -> line("replica", replica.node() + " lacks " + exact(replica.stale())));
    if (volume.completeAt() != null) {
      line("complete at", volume.completeAt() + StatusView.since(volume.completeSince()));
    }
    line("waits for", volume.waitingFor());
    line("failure", volume.failure());
  }

  private void show(FetchStatus fetch) {
    line("origin", fetch.origin() + (fetch.linkUp() ? "" : " (link down)"));
    line("on demand", exact(fetch.demand()));
    line("background", exact(fetch.background()));
    line("holes", exact(fetch.holes()));
    line("overwritten", exact(fetch.overwritten()));
    line("on the wire", exact(fetch.wire()));
    line("rate", new ByteSize(fetch.rate()).approximate() + "/s");
    line("waiting", fetch.waiting() + " requests");
    line("eta", Progress.time(fetch.etaSeconds()));
  }

  /** For people and for arithmetic. */
  private static String exact(long bytes) {
    return new ByteSize(bytes).approximate() + " (" + bytes + " bytes)";
  }

  private void line(String title, Object value) {
    if (value != null) {
      out().printf("%-12s %s%n", title + ":", value);
    }
  }
}
