// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.control;

import com.linecorp.armeria.common.HttpResponse;
import com.linecorp.armeria.common.HttpStatus;
import com.linecorp.armeria.common.MediaType;
import com.linecorp.armeria.server.annotation.Default;
import com.linecorp.armeria.server.annotation.Delete;
import com.linecorp.armeria.server.annotation.Get;
import com.linecorp.armeria.server.annotation.Param;
import com.linecorp.armeria.server.annotation.Post;
import com.linecorp.armeria.server.annotation.Put;
import io.vmferry.api.AttachCheck;
import io.vmferry.api.AttachStandby;
import io.vmferry.api.Capacity;
import io.vmferry.api.CheckAttach;
import io.vmferry.api.CreateVolume;
import io.vmferry.api.ExtendVolume;
import io.vmferry.api.FetchVolume;
import io.vmferry.api.PeerClients;
import io.vmferry.api.PeerProbe;
import io.vmferry.api.Problem;
import io.vmferry.api.ProblemException;
import io.vmferry.api.PromoteVolume;
import io.vmferry.api.RelayStatus;
import io.vmferry.api.SetRate;
import io.vmferry.api.Timeline;
import io.vmferry.api.TimelineEvent;
import io.vmferry.api.VolumeLocation;
import io.vmferry.api.VolumeStatus;
import io.vmferry.api.metrics.Metrics;
import io.vmferry.api.metrics.RelayMeasurements;
import io.vmferry.relay.copy.RateLimit;
import io.vmferry.relay.exec.Loop;
import io.vmferry.relay.handover.AttachChecks;
import io.vmferry.relay.handover.Attacher;
import io.vmferry.relay.handover.ClientsAtPeers;
import io.vmferry.relay.handover.Departures;
import io.vmferry.relay.handover.PeerProbes;
import io.vmferry.relay.handover.Peers;
import io.vmferry.relay.handover.Promotion;
import io.vmferry.relay.handover.StandbyHandover;
import io.vmferry.relay.handover.VolumesByName;
import io.vmferry.relay.peer.PeerLink;
import io.vmferry.relay.volume.Volume;
import io.vmferry.relay.volume.Volumes;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.function.Function;
import java.util.function.Supplier;

/** The requests of the control API, moved to the data loop. Errors become Problems. */
public final class RelayApi {
  /** A takeover that takes longer goes on by itself; the agent asks again. */
  private static final Duration TAKEOVER_LIMIT = Duration.ofSeconds(20);

  private final String version;
  private final Loop loop;
  private final Volumes volumes;
  private final Peers peers;
  private final Attacher attacher;
  private final AttachChecks checks;
  private final PeerProbes probes;
  private final StandbyHandover handover;
  private final Departures departures;
  private final ClientsAtPeers clientsAtPeers;
  private final VolumesByName byName;
  private final Promotion promotion;
  private final RateLimit limit;
  private final Timeline timeline;
  private final TakeoverWaits takeoverWaits;
  private final Function<FetchVolume, CompletableFuture<VolumeStatus>> fetchedCreation;

  /**
   * @param fetchedCreation makes volumes whose content comes from NBD servers; called on the loop
   */
  public RelayApi(
      String version,
      Loop loop,
      Volumes volumes,
      Peers peers,
      Attacher attacher,
      AttachChecks checks,
      PeerProbes probes,
      StandbyHandover handover,
      Departures departures,
      VolumesByName byName,
      Promotion promotion,
      RateLimit limit,
      Timeline timeline,
      TakeoverWaits takeoverWaits,
      Function<FetchVolume, CompletableFuture<VolumeStatus>> fetchedCreation) {
    this.version = version;
    this.loop = loop;
    this.volumes = volumes;
    this.peers = peers;
    this.attacher = attacher;
    this.checks = checks;
    this.probes = probes;
    this.handover = handover;
    this.departures = departures;
    this.clientsAtPeers = new ClientsAtPeers(peers, loop);
    this.byName = byName;
    this.promotion = promotion;
    this.limit = limit;
    this.timeline = timeline;
    this.takeoverWaits = takeoverWaits;
    this.fetchedCreation = fetchedCreation;
  }

  @Get("/v1/status")
  public CompletableFuture<RelayStatus> status() {
    return onLoop(() -> CompletableFuture.completedFuture(statusNow()));
  }

  private RelayStatus statusNow() {
    return new RelayStatus(
        peers.self(),
        version,
        volumes.status(),
        peers.links().stream().map(RelayApi::peerStatus).toList(),
        limit.get());
  }

  /** For Prometheus. */
  @Get("/metrics")
  public CompletableFuture<HttpResponse> metrics() {
    return metricsText()
        .thenApply(
            text -> HttpResponse.of(HttpStatus.OK, MediaType.parse(Metrics.CONTENT_TYPE), text));
  }

  /**
   * The same without HTTP. Status and measurements are of one moment; the text is made elsewhere.
   */
  public CompletableFuture<String> metricsText() {
    return onLoop(
            () ->
                CompletableFuture.completedFuture(
                    Map.entry(
                        statusNow(),
                        new RelayMeasurements(
                            volumes.all().stream()
                                .flatMap(volume -> volume.requestsMeasured().stream())
                                .toList(),
                            takeoverWaits.measured()))))
        .thenApplyAsync(now -> Metrics.of(now.getKey(), now.getValue()));
  }

  private static RelayStatus.PeerStatus peerStatus(PeerLink link) {
    long rtt = link.roundTrip().least();
    return new RelayStatus.PeerStatus(
        link.node(),
        link.address(),
        link.up(),
        rtt == 0 ? null : rtt / (double) TimeUnit.MILLISECONDS.toNanos(1),
        link.problem());
  }

  @Get("/v1/volumes/{name}")
  public CompletableFuture<VolumeStatus> volume(@Param String name) {
    return onLoop(() -> CompletableFuture.completedFuture(status(name)));
  }

  /** Who has a volume of this node open elsewhere. */
  @Get("/v1/volumes/{name}/peer-clients")
  public CompletableFuture<List<PeerClients>> peerClients(@Param String name) {
    return onLoop(() -> clientsAtPeers.of(find(name)));
  }

  /** Where a volume is, whichever node owns it. */
  @Get("/v1/volumes/{name}/location")
  public CompletableFuture<VolumeLocation> location(@Param String name) {
    return onLoop(() -> byName.locate(name));
  }

  /** Makes a volume larger, whichever node owns it. */
  @Put("/v1/volumes/{name}/size")
  public CompletableFuture<Void> extend(@Param String name, ExtendVolume request) {
    return onLoop(() -> byName.extend(name, request.size()));
  }

  /** Deletes a volume, whichever node owns it. */
  @Delete("/v1/volumes/{name}/everywhere")
  public CompletableFuture<Void> deleteEverywhere(@Param String name) {
    return onLoop(() -> byName.delete(name));
  }

  /** Whether a guest could use the volume here now; changes nothing. */
  @Get("/v1/volumes/{name}/readiness")
  public CompletableFuture<Void> readiness(@Param String name) {
    return onLoop(() -> attacher.check(name));
  }

  /** Room for volumes at this node. */
  @Get("/v1/capacity")
  public CompletableFuture<Capacity> capacity() {
    return onLoop(volumes::capacity);
  }

  @Post("/v1/volumes")
  public CompletableFuture<VolumeStatus> create(CreateVolume request) {
    return onLoop(() -> volumes.create(request));
  }

  /** A new volume whose content comes from an NBD server. */
  @Post("/v1/fetched-volumes")
  public CompletableFuture<VolumeStatus> fetch(FetchVolume request) {
    return onLoop(() -> fetchedCreation.apply(request));
  }

  @Delete("/v1/volumes/{name}")
  public CompletableFuture<Void> delete(@Param String name) {
    return onLoop(() -> departures.delete(find(name)));
  }

  /** Makes this node's replica the owner by force, or says what that would cost. */
  @Post("/v1/volumes/{name}/promotion")
  public CompletableFuture<VolumeStatus> promote(@Param String name, PromoteVolume request) {
    return onLoop(
        () ->
            promotion
                .promote(find(name), request.force())
                .thenApply(
                    done -> {
                      VolumeStatus status = status(name);
                      timeline.add(name, "promote", "by force: " + status.epoch());
                      return status;
                    }));
  }

  @Post("/v1/standbys")
  public CompletableFuture<Void> attach(AttachStandby request) {
    return onLoop(() -> attacher.attach(request));
  }

  /** Whether a peer would attach them. */
  @Post("/v1/attach-checks")
  public CompletableFuture<AttachCheck> check(CheckAttach request) {
    return onLoop(() -> checks.ask(request));
  }

  /** The way to a peer and back. */
  @Get("/v1/peers/{node}/probe")
  public CompletableFuture<PeerProbe> probe(@Param String node) {
    return onLoop(() -> probes.probe(node));
  }

  @Delete("/v1/standbys/{domain}")
  public CompletableFuture<Void> drop(@Param String domain) {
    UUID uuid = uuid(domain);
    return onLoop(() -> attacher.drop(uuid));
  }

  /**
   * Takes over all standbys of a domain; answers when it is done, or UNAVAILABLE if it takes long.
   */
  @Post("/v1/takeovers/{domain}")
  public CompletableFuture<Void> takeover(@Param String domain) {
    UUID uuid = uuid(domain);
    return onLoop(() -> limited(handover.domainRuns(uuid).copy(), domain));
  }

  private CompletableFuture<Void> limited(CompletableFuture<Void> takeover, String domain) {
    ProblemException waits =
        new ProblemException(
            Problem.Code.UNAVAILABLE,
            "the takeover of domain " + domain + " waits; see 'vmferry status' for what");
    Loop.Timer late = loop.after(TAKEOVER_LIMIT, () -> takeover.completeExceptionally(waits));
    var unused = takeover.whenComplete((done, error) -> late.cancel());
    return takeover;
  }

  @Put("/v1/rate")
  public CompletableFuture<Void> rate(SetRate request) {
    if (request.bytesPerSecond() != null && request.bytesPerSecond() < 1) {
      throw new ProblemException(
          Problem.Code.BAD_REQUEST, "a rate has at least 1 byte per second; null lifts the cap");
    }
    return onLoop(
        () -> {
          limit.set(request.bytesPerSecond());
          return CompletableFuture.completedFuture(null);
        });
  }

  @Get("/v1/timeline")
  public List<TimelineEvent> timeline(@Param @Default("0") long after) {
    return timeline.after(after);
  }

  private VolumeStatus status(String name) {
    return volumes.status().stream()
        .filter(status -> status.name().equals(name))
        .findFirst()
        .orElseThrow(() -> notFound(name));
  }

  private Volume find(String name) {
    Volume volume = volumes.byName(name);
    if (volume == null) {
      throw volumes.broken(name) == null
          ? notFound(name)
          : new ProblemException(Problem.Code.REFUSED, volumes.broken(name));
    }
    return volume;
  }

  private ProblemException notFound(String name) {
    return new ProblemException(
        Problem.Code.NOT_FOUND,
        "there is no volume "
            + name
            + " on node "
            + peers.self()
            + "; 'vmferry volume list' shows what is here");
  }

  private static UUID uuid(String text) {
    try {
      return UUID.fromString(text);
    } catch (IllegalArgumentException e) {
      throw new ProblemException(
          Problem.Code.BAD_REQUEST, "'" + text + "' is not a UUID; give the domain's libvirt UUID");
    }
  }

  private <T> CompletableFuture<T> onLoop(Supplier<CompletableFuture<T>> request) {
    return CompletableFuture.completedFuture(null).thenComposeAsync(now -> request.get(), loop);
  }
}
