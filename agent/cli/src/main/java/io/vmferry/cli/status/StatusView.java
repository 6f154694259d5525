// SPDX-License-Identifier: Apache-2.0
package io.vmferry.cli.status;

import io.vmferry.api.AgentStatus;
import io.vmferry.api.AgentStatus.DomainStatus;
import io.vmferry.api.RelayStatus;
import io.vmferry.api.RelayStatus.PeerStatus;
import io.vmferry.api.VolumeState;
import io.vmferry.api.VolumeStatus;
import io.vmferry.api.VolumeStatus.FetchStatus;
import io.vmferry.cli.text.Progress;
import io.vmferry.cli.text.Table;
import io.vmferry.cli.text.Table.Align;
import io.vmferry.config.ByteRate;
import io.vmferry.config.ByteSize;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/** A node's status as lines of text. */
public final class StatusView {
  private static final String NOTHING = "-";

  /** Characters: leaves room for name, percentage, rate and ETA on a terminal of 80. */
  private static final int BAR_WIDTH = 24;

  private StatusView() {}

  /** Everything, as tables. */
  static List<String> full(NodeStatus node) {
    RelayStatus relay = node.relay();
    List<String> lines = new ArrayList<>();
    lines.add(
        "node "
            + relay.node()
            + ", vmferry "
            + relay.version()
            + ", rate limit "
            + rateLimit(relay.rateLimit()));
    lines.add("");
    lines.addAll(volumes(relay.volumes()));
    lines.add("");
    lines.addAll(domains(node));
    if (!relay.peers().isEmpty()) {
      lines.add("");
      lines.addAll(peers(relay.peers()));
    }
    return lines;
  }

  /** One row per replica. */
  public static List<String> volumes(List<VolumeStatus> volumes) {
    if (volumes.isEmpty()) {
      return List.of("no volumes");
    }
    Table table =
        new Table()
            .column("VOLUME", Align.LEFT)
            .column("STATE", Align.LEFT)
            .column("SIZE", Align.RIGHT)
            .column("PRESENT", Align.RIGHT)
            .column("EPOCH", Align.LEFT)
            .column("CLIENTS", Align.RIGHT)
            .column("ORIGIN", Align.LEFT)
            .column("RATE", Align.RIGHT)
            .column("ETA", Align.RIGHT);
    for (VolumeStatus volume : volumes) {
      FetchStatus fetch = fetchUnderWay(volume);
      table.row(
          volume.name(),
          volume.state().name(),
          new ByteSize(volume.size()).approximate(),
          Progress.percent(volume.present(), volume.size()),
          volume.epoch().toString(),
          Integer.toString(volume.clients()),
          fetch == null ? NOTHING : fetch.origin() + (fetch.linkUp() ? "" : " (down)"),
          fetch == null ? NOTHING : rate(fetch.rate()),
          fetch == null ? NOTHING : Progress.time(fetch.etaSeconds()));
      notes(volume).forEach(table::note);
    }
    return table.render();
  }

  /** The relay goes on telling of a fetch that has ended; a table of what goes on does not. */
  private static FetchStatus fetchUnderWay(VolumeStatus volume) {
    return volume.present() < volume.size() ? volume.fetch() : null;
  }

  /** A bar for each volume that is fetched, with what it waits for. */
  static List<String> bars(List<VolumeStatus> volumes) {
    List<String> lines = new ArrayList<>();
    for (VolumeStatus volume : volumes) {
      if (volume.state() == VolumeState.FETCHING) {
        lines.add(
            volume.name()
                + "  "
                + Progress.bar(volume.present(), volume.size(), BAR_WIDTH)
                + "  "
                + progress(volume));
      }
    }
    return lines;
  }

  /** The same without a bar, for a log or a terminal that can't redraw. */
  static List<String> plainProgress(List<VolumeStatus> volumes) {
    return volumes.stream()
        .filter(volume -> volume.state() == VolumeState.FETCHING)
        .map(volume -> volume.name() + "  " + progress(volume) + notesInline(volume))
        .toList();
  }

  private static String progress(VolumeStatus volume) {
    FetchStatus fetch = volume.fetch();
    String present = Progress.percent(volume.present(), volume.size());
    return fetch == null
        ? present
        : present + "  " + rate(fetch.rate()) + "  ETA " + Progress.time(fetch.etaSeconds());
  }

  private static String notesInline(VolumeStatus volume) {
    List<String> notes = notes(volume);
    return notes.isEmpty() ? "" : "  " + String.join("; ", notes);
  }

  private static List<String> notes(VolumeStatus volume) {
    List<String> notes = new ArrayList<>();
    if (volume.failure() != null) {
      notes.add("FAILED: " + volume.failure());
    }
    if (volume.waitingFor() != null) {
      notes.add("waits for: " + volume.waitingFor());
    }
    if (volume.completeAt() != null) {
      notes.add(
          "complete at "
              + volume.completeAt()
              + since(volume.completeSince())
              + ": this replica may be deleted");
    }
    return notes;
  }

  /** A blank and since when, by the clock of the node, to the second; nothing if unknown. */
  public static String since(Instant time) {
    return time == null ? "" : " since " + time.truncatedTo(ChronoUnit.SECONDS);
  }

  private static List<String> domains(NodeStatus node) {
    AgentStatus agent = node.agent();
    if (agent == null) {
      return List.of("domains unknown: " + node.agentProblem());
    }
    List<String> lines = new ArrayList<>();
    if (!agent.libvirtUp()) {
      lines.add("libvirt is not connected: " + agent.problem());
    }
    if (agent.domains().isEmpty()) {
      lines.add("no domains with vmferry disks");
      return lines;
    }
    Table table =
        new Table()
            .column("DOMAIN", Align.LEFT)
            .column("STATE", Align.LEFT)
            .column("PHASE", Align.RIGHT)
            .column("VOLUMES", Align.LEFT);
    for (DomainStatus domain : agent.domains()) {
      table.row(
          domain.name(),
          domain.state(),
          domain.phase() == 0 ? NOTHING : Integer.toString(domain.phase()),
          String.join(", ", domain.volumes()));
      if (domain.note() != null) {
        table.note(domain.note());
      }
    }
    lines.addAll(table.render());
    return lines;
  }

  private static List<String> peers(List<PeerStatus> peers) {
    Table table =
        new Table()
            .column("PEER", Align.LEFT)
            .column("ADDRESS", Align.LEFT)
            .column("LINK", Align.LEFT)
            .column("RTT", Align.RIGHT);
    for (PeerStatus peer : peers) {
      Double rtt = peer.rttMillis();
      table.row(
          peer.node(),
          peer.address(),
          peer.up() ? "up" : peer.problem() == null ? "idle" : "down",
          rtt == null ? NOTHING : String.format(Locale.ROOT, "%.1f ms", rtt));
      if (peer.problem() != null) {
        table.note(peer.problem());
      }
    }
    return table.render();
  }

  static String rateLimit(Long bytesPerSecond) {
    return bytesPerSecond == null ? "none" : rate(bytesPerSecond);
  }

  private static String rate(long bytesPerSecond) {
    return bytesPerSecond == 0 ? "0 B/s" : new ByteRate(bytesPerSecond).approximate();
  }
}
