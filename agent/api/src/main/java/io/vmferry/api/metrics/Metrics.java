// SPDX-License-Identifier: Apache-2.0
package io.vmferry.api.metrics;

import com.sun.management.UnixOperatingSystemMXBean;
import io.vmferry.api.AgentStatus;
import io.vmferry.api.RelayStatus;
import io.vmferry.api.VolumeState;
import io.vmferry.api.VolumeStatus;
import io.vmferry.api.VolumeStatus.FetchStatus;
import io.vmferry.api.metrics.RelayMeasurements.Requests;
import java.lang.management.ManagementFactory;
import java.lang.management.RuntimeMXBean;
import java.util.Locale;
import java.util.function.Function;
import java.util.function.ToLongFunction;

/** A status as metrics. Amounts are bytes, times seconds, as Prometheus wants them. */
public final class Metrics {
  /** The Content-Type of the text. */
  public static final String CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8";

  private static final double MILLIS = 1e3;
  private static final double NANOS = 1e9;

  private Metrics() {}

  /** What the relay says at this moment. */
  public static String of(RelayStatus status, RelayMeasurements measured) {
    Exposition out = new Exposition();
    out.gauge("vmferry_relay_info", "Always 1; names node and version of the relay.");
    out.sample(1, "node", status.node(), "version", status.version());
    volumes(status, out);
    fetches(status, out);
    peers(status, out);
    requests(measured, out);
    out.gauge(
        "vmferry_copy_rate_limit_bytes_per_second", "Cap of the background copy; 0 for none.");
    out.sample(status.rateLimit() == null ? 0 : status.rateLimit());
    process(out);
    return out.toString();
  }

  private static void volumes(RelayStatus status, Exposition out) {
    out.gauge("vmferry_volume_state", "1 for the state that the volume is in, 0 for the others.");
    for (VolumeStatus volume : status.volumes()) {
      for (VolumeState state : VolumeState.values()) {
        String label = state.name().toLowerCase(Locale.ROOT);
        out.sample(volume.state() == state ? 1 : 0, "volume", volume.name(), "state", label);
      }
    }
    perVolume(status, out, "size_bytes", "Size of the virtual disk.", VolumeStatus::size);
    perVolume(
        status, out, "present_bytes", "Held here and up to date; holes count.", v -> v.present());
    perVolume(
        status,
        out,
        "missing_bytes",
        "Owned here but still only at the origin; 0 unless in fetch mode.",
        v -> v.state() == VolumeState.FETCHING ? v.size() - v.present() : 0);
    perVolume(status, out, "allocated_bytes", "Taken on this node's disk.", v -> v.allocated());
    perVolume(
        status,
        out,
        "clients",
        "Local NBD clients, and processes that lost their connection.",
        v -> v.clients());
    perVolume(status, out, "epoch", "Number of the last change of owner.", v -> v.epoch().number());
    perVolume(
        status,
        out,
        "failed",
        "1 if the volume was stopped by a disk error.",
        v -> v.failure() == null ? 0 : 1);
    perVolume(
        status,
        out,
        "waiting",
        "1 if the volume waits for something that status names.",
        v -> v.waitingFor() == null ? 0 : 1);
    out.gauge("vmferry_replica_stale_bytes", "What another node's replica lacks, by this owner.");
    for (VolumeStatus volume : status.volumes()) {
      volume
          .replicas()
          .forEach(
              replica ->
                  out.sample(replica.stale(), "volume", volume.name(), "node", replica.node()));
    }
  }

  private static void perVolume(
      RelayStatus status,
      Exposition out,
      String name,
      String help,
      ToLongFunction<VolumeStatus> value) {
    out.gauge("vmferry_volume_" + name, help);
    status
        .volumes()
        .forEach(volume -> out.sample(value.applyAsLong(volume), "volume", volume.name()));
  }

  private static void fetches(RelayStatus status, Exposition out) {
    out.counter(
        "vmferry_fetch_received_bytes_total",
        "Fetched from the origin since the takeover, by why.");
    fetch(status, out, "reason", "demand", FetchStatus::demand);
    fetch(status, out, "reason", "background", FetchStatus::background);
    out.counter("vmferry_fetch_spared_bytes_total", "Never sent by the origin, by why.");
    fetch(status, out, "reason", "hole", FetchStatus::holes);
    fetch(status, out, "reason", "overwritten", FetchStatus::overwritten);
    out.gauge("vmferry_fetch_bytes_per_second", "Rate over the last seconds.");
    fetch(status, out, null, null, FetchStatus::rate);
    out.gauge("vmferry_fetch_origin_up", "1 if the origin is connected.");
    fetch(status, out, null, null, fetch -> fetch.linkUp() ? 1 : 0);
    out.gauge("vmferry_fetch_remaining_seconds", "Until complete, at this rate; none if unknown.");
    fetch(status, out, null, null, fetch -> fetch.etaSeconds());
  }

  private static void fetch(
      RelayStatus status,
      Exposition out,
      String label,
      String labelValue,
      Function<FetchStatus, Number> value) {
    for (VolumeStatus volume : status.volumes()) {
      FetchStatus fetch = volume.fetch();
      Number number = fetch == null ? null : value.apply(fetch);
      if (number == null) {
        continue;
      }
      if (label == null) {
        out.sample(number.longValue(), "volume", volume.name(), "origin", fetch.origin());
      } else {
        out.sample(
            number.longValue(),
            "volume",
            volume.name(),
            "origin",
            fetch.origin(),
            label,
            labelValue);
      }
    }
  }

  private static void peers(RelayStatus status, Exposition out) {
    out.gauge("vmferry_peer_up", "1 if the control connection to the peer stands.");
    status.peers().forEach(peer -> out.sample(peer.up() ? 1 : 0, "peer", peer.node()));
    out.gauge("vmferry_peer_down", "1 if the peer is wanted and can't be reached.");
    status
        .peers()
        .forEach(
            peer -> out.sample(!peer.up() && peer.problem() != null ? 1 : 0, "peer", peer.node()));
    out.gauge("vmferry_peer_round_trip_seconds", "Last measured; none if not measured yet.");
    status.peers().stream()
        .filter(peer -> peer.rttMillis() != null)
        .forEach(peer -> out.sample(peer.rttMillis() / MILLIS, "peer", peer.node()));
  }

  private static void requests(RelayMeasurements measured, Exposition out) {
    out.histogram(
        "vmferry_request_duration_seconds",
        "Guests' requests by volume and operation, from the request to its answer.");
    for (Requests each : measured.requests()) {
      out.sample(each.durations(), "volume", each.volume(), "operation", each.operation());
    }
    out.counter("vmferry_request_errors_total", "Guests' requests that were answered by an error.");
    for (Requests each : measured.requests()) {
      out.sample(each.errors(), "volume", each.volume(), "operation", each.operation());
    }
    out.counter("vmferry_request_bytes_total", "Bytes of guests' requests that succeeded.");
    for (Requests each : measured.requests()) {
      out.sample(each.bytes(), "volume", each.volume(), "operation", each.operation());
    }
    out.histogram(
        "vmferry_takeover_wait_seconds",
        "How long the first write of a guest waited until its volume was owned here.");
    out.sample(measured.takeoverWaits());
  }

  /** What the agent says at this moment. */
  public static String of(AgentStatus status, AgentMeasurements measured) {
    Exposition out = new Exposition();
    out.gauge("vmferry_agent_info", "Always 1; names node and version of the agent.");
    out.sample(1, "node", status.node(), "version", status.version());
    out.gauge("vmferry_libvirt_up", "1 if libvirt is connected.");
    out.sample(status.libvirtUp() ? 1 : 0);
    out.gauge("vmferry_domain_migration_phase", "Phase 1 to 5 of a migration, 0 if there is none.");
    status.domains().forEach(domain -> out.sample(domain.phase(), "domain", domain.name()));
    out.gauge("vmferry_domain_volumes", "Volumes that the domain uses.");
    status
        .domains()
        .forEach(domain -> out.sample(domain.volumes().size(), "domain", domain.name()));
    out.histogram(
        "vmferry_hook_duration_seconds", "Calls of libvirt's hook, from the call to its answer.");
    measured.hooks().forEach(hook -> out.sample(hook.durations(), "operation", hook.operation()));
    out.counter("vmferry_hook_refusals_total", "Calls of libvirt's hook that were refused.");
    measured.hooks().forEach(hook -> out.sample(hook.refused(), "operation", hook.operation()));
    out.histogram(
        "vmferry_domain_takeover_seconds",
        "From the word that a guest runs here until its volumes are owned here.");
    out.sample(measured.takeovers());
    process(out);
    return out.toString();
  }

  /** Under the names that Prometheus' own client libraries use. */
  private static void process(Exposition out) {
    RuntimeMXBean runtime = ManagementFactory.getRuntimeMXBean();
    out.gauge("process_start_time_seconds", "When the process was started, Unix time.");
    out.sample(runtime.getStartTime() / MILLIS);
    if (ManagementFactory.getOperatingSystemMXBean() instanceof UnixOperatingSystemMXBean system) {
      out.counter("process_cpu_seconds_total", "CPU time, user and system.");
      out.sample(system.getProcessCpuTime() / NANOS);
      out.gauge("process_open_fds", "Open file descriptors.");
      out.sample(system.getOpenFileDescriptorCount());
    }
    out.gauge("jvm_memory_heap_used_bytes", "Java heap in use.");
    out.sample(ManagementFactory.getMemoryMXBean().getHeapMemoryUsage().getUsed());
  }
}
