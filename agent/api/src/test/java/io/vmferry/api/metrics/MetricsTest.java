// SPDX-License-Identifier: Apache-2.0
package io.vmferry.api.metrics;

import static org.assertj.core.api.Assertions.assertThat;

import io.vmferry.api.AgentStatus;
import io.vmferry.api.AgentStatus.DomainStatus;
import io.vmferry.api.Epoch;
import io.vmferry.api.RelayStatus;
import io.vmferry.api.RelayStatus.PeerStatus;
import io.vmferry.api.VolumeState;
import io.vmferry.api.VolumeStatus;
import io.vmferry.api.VolumeStatus.FetchStatus;
import io.vmferry.api.VolumeStatus.ReplicaStatus;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.UUID;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;

/** The text is what Prometheus reads, and what docs/metrics.md and the dashboard say it is. */
class MetricsTest {
  private static final Path DOCUMENT = Path.of("../../docs/metrics.md");
  private static final Path DASHBOARD = Path.of("../../config/grafana/vmferry.json");

  private static final Pattern SAMPLE =
      Pattern.compile("([a-z_]+)(\\{([a-z]+=\"([^\"\\\\\n]|\\\\.)*\",?)*})? (-?[0-9.E-]+)");

  /** What Prometheus adds, and histograms' own. */
  private static final Set<String> SCRAPED = Set.of("instance", "job", "le");

  private static final String HISTOGRAM_PARTS = "_(bucket|sum|count)$";
  private static final Pattern LABEL = Pattern.compile("([a-z]+)=\"");

  private static final String RELAY =
      Metrics.of(
          new RelayStatus(
              "host-b",
              "1.0",
              List.of(
                  volume("vm1", VolumeState.FETCHING, fetch(30L), null),
                  volume("vm2", VolumeState.SERVING, null, "fdatasync failed")),
              List.of(
                  new PeerStatus("host-a", "192.0.2.1:7820", true, 20.5, null),
                  new PeerStatus("host-c", "192.0.2.3:7820", false, null, "refused")),
              1000L),
          new RelayMeasurements(
              List.of(
                  new RelayMeasurements.Requests("vm1", "read", durations(20_000, 2_000), 7, 4096)),
              durations(1_500_000_000L)));

  private static final String AGENT =
      Metrics.of(
          new AgentStatus(
              "host-b",
              "1.0",
              false,
              "no libvirtd",
              List.of(new DomainStatus("vm", new UUID(1, 1), "running", List.of("vm1"), 3, null))),
          new AgentMeasurements(
              List.of(new AgentMeasurements.HookCalls("migrate", durations(1_000_000), 5)),
              durations(3_000_000)));

  private static Histogram durations(long... nanos) {
    Histogram histogram = new Histogram();
    for (long each : nanos) {
      histogram.observe(each);
    }
    return histogram;
  }

  private static VolumeStatus volume(
      String name, VolumeState state, FetchStatus fetch, String failure) {
    return new VolumeStatus(
        name,
        new UUID(1, 1),
        1000,
        state,
        new Epoch(2, "host-b"),
        null,
        1,
        600,
        700,
        fetch,
        List.of(new ReplicaStatus("host-a", 40)),
        null,
        null,
        fetch == null ? null : "node host-a",
        failure);
  }

  private static FetchStatus fetch(Long eta) {
    return new FetchStatus("host-a", true, 11, 22, 33, 44, 66, 55, eta, 0);
  }

  @Test
  void theValuesAreThoseOfTheStatus() {
    assertThat(RELAY.lines())
        .contains(
            "vmferry_volume_state{volume=\"vm1\",state=\"fetching\"} 1",
            "vmferry_volume_state{volume=\"vm1\",state=\"serving\"} 0",
            "vmferry_volume_missing_bytes{volume=\"vm1\"} 300",
            "vmferry_volume_missing_bytes{volume=\"vm2\"} 0",
            "vmferry_volume_waiting{volume=\"vm1\"} 1",
            "vmferry_volume_failed{volume=\"vm2\"} 1",
            "vmferry_replica_stale_bytes{volume=\"vm1\",node=\"host-a\"} 40",
            "vmferry_fetch_received_bytes_total{volume=\"vm1\",origin=\"host-a\",reason=\"demand\"}"
                + " 11",
            "vmferry_fetch_received_bytes_total{volume=\"vm1\",origin=\"host-a\",reason=\"background\"}"
                + " 22",
            "vmferry_fetch_spared_bytes_total{volume=\"vm1\",origin=\"host-a\",reason=\"hole\"} 33",
            "vmferry_fetch_spared_bytes_total{volume=\"vm1\",origin=\"host-a\",reason=\"overwritten\"}"
                + " 44",
            "vmferry_fetch_remaining_seconds{volume=\"vm1\",origin=\"host-a\"} 30",
            "vmferry_peer_up{peer=\"host-a\"} 1",
            "vmferry_peer_down{peer=\"host-c\"} 1",
            "vmferry_peer_round_trip_seconds{peer=\"host-a\"} 0.0205",
            "vmferry_copy_rate_limit_bytes_per_second 1000",
            "vmferry_request_duration_seconds_bucket{volume=\"vm1\",operation=\"read\",le=\"1.6384E-5\"}"
                + " 1",
            "vmferry_request_duration_seconds_bucket{volume=\"vm1\",operation=\"read\",le=\"6.5536E-5\"}"
                + " 2",
            "vmferry_request_duration_seconds_bucket{volume=\"vm1\",operation=\"read\",le=\"+Inf\"}"
                + " 2",
            "vmferry_request_duration_seconds_sum{volume=\"vm1\",operation=\"read\"} 2.2E-5",
            "vmferry_request_duration_seconds_count{volume=\"vm1\",operation=\"read\"} 2",
            "vmferry_request_errors_total{volume=\"vm1\",operation=\"read\"} 7",
            "vmferry_request_bytes_total{volume=\"vm1\",operation=\"read\"} 4096",
            "vmferry_takeover_wait_seconds_sum 1.5",
            "vmferry_takeover_wait_seconds_bucket{le=\"+Inf\"} 1");
    assertThat(AGENT.lines())
        .contains(
            "vmferry_libvirt_up 0",
            "vmferry_domain_migration_phase{domain=\"vm\"} 3",
            "vmferry_hook_duration_seconds_count{operation=\"migrate\"} 1",
            "vmferry_hook_refusals_total{operation=\"migrate\"} 5",
            "vmferry_domain_takeover_seconds_sum 0.003");
  }

  @Test
  void whatIsNotKnownIsAbsent() {
    RelayStatus status =
        new RelayStatus(
            "b",
            "1",
            List.of(volume("v", VolumeState.FETCHING, fetch(null), null)),
            List.of(),
            null);
    assertThat(Metrics.of(status, new RelayMeasurements(List.of(), new Histogram())))
        .doesNotContain("vmferry_fetch_remaining_seconds{", "vmferry_peer_up{")
        .contains("vmferry_copy_rate_limit_bytes_per_second 0\n");
  }

  @Test
  void labelsAreEscaped() {
    AgentStatus status = new AgentStatus("a\"b\\c\nd", "1", true, null, List.of());
    assertThat(Metrics.of(status, new AgentMeasurements(List.of(), new Histogram())))
        .contains("vmferry_agent_info{node=\"a\\\"b\\\\c\\nd\",");
  }

  /** What `promtool check metrics` asks for. */
  @Test
  void theFormAndTheNamesArePrometheus() {
    for (String text : List.of(RELAY, AGENT)) {
      Set<String> families = new HashSet<>();
      Set<String> series = new HashSet<>();
      String family = "";
      String type = "";
      for (String line : text.lines().toList()) {
        if (line.startsWith("# HELP ")) {
          family = line.split(" ", -1)[2];
          assertThat(families.add(family)).as("one family " + family).isTrue();
          assertThat(line).endsWith(".");
        } else if (line.startsWith("# TYPE ")) {
          assertThat(line.split(" ", -1)[2]).isEqualTo(family);
          type = line.split(" ", -1)[3];
          assertThat(family.endsWith("_total")).as(family).isEqualTo(type.equals("counter"));
        } else {
          Matcher matcher = SAMPLE.matcher(line);
          assertThat(matcher.matches()).as(line).isTrue();
          String name = matcher.group(1);
          assertThat(type.equals("histogram") ? name.replaceFirst(HISTOGRAM_PARTS, "") : name)
              .isEqualTo(family);
          assertThat(line.contains("le=\"")).isEqualTo(name.endsWith("_bucket"));
          assertThat(series.add(line.replaceFirst(" [^ ]+$", ""))).as("once: " + line).isTrue();
        }
      }
    }
  }

  @Test
  void theDocumentListsEachMetricWithItsLabels() throws IOException {
    Map<String, Set<String>> documented = new TreeMap<>();
    for (String line : Files.readAllLines(DOCUMENT)) {
      Matcher row = Pattern.compile("\\| `([a-z_]+)` \\| ([a-z, ]*) ?\\| .*").matcher(line);
      if (row.matches()) {
        Set<String> labels = new TreeSet<>();
        for (String label : row.group(2).split(",", -1)) {
          if (!label.isBlank()) {
            labels.add(label.strip());
          }
        }
        documented.put(row.group(1), labels);
      }
    }
    assertThat(documented).isEqualTo(exposed());
  }

  @Test
  void dashboardAndAlertsAskForMetricsThatExist() throws IOException {
    for (Path file : List.of(DASHBOARD, DOCUMENT)) {
      Matcher names = Pattern.compile("vmferry_[a-z_]+").matcher(Files.readString(file));
      Set<String> asked = new TreeSet<>();
      while (names.find()) {
        asked.add(family(names.group()));
      }
      assertThat(asked).hasSizeGreaterThan(10);
      assertThat(exposed().keySet()).as("%s", file).containsAll(asked);
    }
  }

  /** An expression with a label that there isn't is empty, and nobody is told. */
  @Test
  void dashboardAndAlertsAskForLabelsThatExist() throws IOException {
    Map<String, Set<String>> exposed = exposed();
    Set<String> all = new TreeSet<>(SCRAPED);
    exposed.values().forEach(all::addAll);
    int found = 0;
    for (Path file : List.of(DASHBOARD, DOCUMENT)) {
      String text = Files.readString(file).replace("\\\"", "\"");
      Matcher selected = Pattern.compile("(vmferry_[a-z_]+)\\{([^}]*)}").matcher(text);
      while (selected.find()) {
        Set<String> labels = new TreeSet<>();
        Matcher label = Pattern.compile("([a-z]+)[=!]").matcher(selected.group(2));
        while (label.find()) {
          labels.add(label.group(1));
        }
        labels.removeAll(SCRAPED);
        assertThat(exposed.get(family(selected.group(1)))).as(selected.group()).containsAll(labels);
        found++;
      }
      Matcher grouped = Pattern.compile("\\b(?:by|on) ?\\(([a-z, ]+)\\)").matcher(text);
      while (grouped.find()) {
        assertThat(all).as(grouped.group()).contains(grouped.group(1).split(", *", -1));
        found++;
      }
      Matcher shown = Pattern.compile("\\{\\{([a-z]+)}}").matcher(text);
      while (shown.find()) {
        assertThat(all).as(shown.group()).contains(shown.group(1));
        found++;
      }
    }
    assertThat(found).isGreaterThan(50);
  }

  /** A histogram is documented once, not by its parts. */
  private static String family(String name) {
    String whole = name.replaceFirst(HISTOGRAM_PARTS, "");
    return (RELAY + AGENT).contains("# TYPE " + whole + " histogram\n") ? whole : name;
  }

  private static Map<String, Set<String>> exposed() {
    Map<String, Set<String>> found = new TreeMap<>();
    (RELAY + AGENT)
        .lines()
        .filter(line -> !line.startsWith("#"))
        .forEach(
            line -> {
              Set<String> labels =
                  found.computeIfAbsent(family(line.split("[{ ]", -1)[0]), n -> new TreeSet<>());
              Matcher label = LABEL.matcher(line);
              while (label.find()) {
                if (!label.group(1).equals("le")) {
                  labels.add(label.group(1));
                }
              }
            });
    return found;
  }
}
