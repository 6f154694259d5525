// SPDX-License-Identifier: Apache-2.0
package io.vmferry.coordinator;

import com.linecorp.armeria.common.HttpResponse;
import com.linecorp.armeria.common.HttpStatus;
import com.linecorp.armeria.common.MediaType;
import com.linecorp.armeria.server.annotation.Default;
import com.linecorp.armeria.server.annotation.Get;
import com.linecorp.armeria.server.annotation.Param;
import com.linecorp.armeria.server.annotation.Post;
import io.vmferry.api.AgentStatus;
import io.vmferry.api.GuestStatus;
import io.vmferry.api.Problem;
import io.vmferry.api.ProblemException;
import io.vmferry.api.Timeline;
import io.vmferry.api.TimelineEvent;
import io.vmferry.api.metrics.AgentMeasurements;
import io.vmferry.api.metrics.Metrics;
import io.vmferry.coordinator.hypervisor.Hypervisor;
import io.vmferry.coordinator.migration.Coordinator;
import io.vmferry.coordinator.migration.Guests;
import io.vmferry.coordinator.migration.Hooks;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.function.Function;

/** What the agent serves on agent.sock. Nothing here blocks. */
public final class AgentService {
  private final String node;
  private final String version;
  private final Hypervisor hypervisor;
  private final Coordinator coordinator;
  private final Guests guests;
  private final Hooks hooks;
  private final Timeline timeline;
  private final MeasuredRelay relay;
  private final Function<String, CompletableFuture<Void>> relayReadiness;
  private final HookStats hookStats = new HookStats();

  /**
   * @param node this node's name
   * @param version of the program
   * @param relay has measured takeovers
   * @param relayReadiness asks the relay whether a guest could use a volume
   */
  AgentService(
      String node,
      String version,
      Hypervisor hypervisor,
      Coordinator coordinator,
      Guests guests,
      Hooks hooks,
      Timeline timeline,
      MeasuredRelay relay,
      Function<String, CompletableFuture<Void>> relayReadiness) {
    this.node = node;
    this.version = version;
    this.hypervisor = hypervisor;
    this.coordinator = coordinator;
    this.guests = guests;
    this.hooks = hooks;
    this.timeline = timeline;
    this.relay = relay;
    this.relayReadiness = relayReadiness;
  }

  @Get("/v1/status")
  public CompletableFuture<AgentStatus> status() {
    String problem = hypervisor.problem();
    return coordinator
        .domains()
        .thenApply(domains -> new AgentStatus(node, version, problem == null, problem, domains));
  }

  /** For Prometheus. */
  @Get("/metrics")
  public CompletableFuture<HttpResponse> metrics() {
    return metricsText()
        .thenApply(
            text -> HttpResponse.of(HttpStatus.OK, MediaType.parse(Metrics.CONTENT_TYPE), text));
  }

  /** The same without HTTP. */
  CompletableFuture<String> metricsText() {
    return status()
        .thenApply(
            now -> Metrics.of(now, new AgentMeasurements(hookStats.measured(), relay.measured())));
  }

  /** Fails with UNAVAILABLE if libvirt can't be asked. */
  @Get("/v1/volumes/{name}/guest")
  public CompletableFuture<GuestStatus> guest(@Param String name) {
    return guests.of(name);
  }

  /**
   * Whether a guest could use the volume on this host now, for who plans to start or to migrate one
   * here, such as Nova. Fails with the reason if not. Changes nothing.
   */
  @Get("/v1/volumes/{name}/readiness")
  public CompletableFuture<Void> readiness(@Param String name) {
    String problem = hypervisor.problem();
    if (problem != null) {
      // A migration would be refused by the hook: better now than with the guest's memory on its
      // way.
      throw new ProblemException(Problem.Code.UNAVAILABLE, problem);
    }
    return relayReadiness.apply(name);
  }

  /** Events with a number above {@code after}. */
  @Get("/v1/timeline")
  public List<TimelineEvent> timeline(@Param @Default("0") long after) {
    return timeline.after(after);
  }

  /**
   * A call of libvirt's QEMU hook with the domain XML as body: 200 without a body, or 409 with one
   * sentence of plain text for the person who started the operation.
   */
  @Post("/v1/hooks/qemu/{domain}/{operation}/{subOperation}")
  public CompletableFuture<HttpResponse> hook(
      @Param String domain,
      @Param String operation,
      @Param String subOperation,
      @Param @Default("-") String extra,
      String xml) {
    long begun = System.nanoTime();
    return hooks
        .call(domain, operation, subOperation, extra, xml)
        .whenComplete(
            (refusal, failure) ->
                hookStats.answered(
                    operation, System.nanoTime() - begun, failure != null || refusal.isPresent()))
        .thenApply(
            refusal ->
                HttpResponse.of(
                    refusal.isPresent() ? HttpStatus.CONFLICT : HttpStatus.OK,
                    MediaType.PLAIN_TEXT_UTF_8,
                    refusal.orElse("")));
  }
}
