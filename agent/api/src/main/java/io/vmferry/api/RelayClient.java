// SPDX-License-Identifier: Apache-2.0
package io.vmferry.api;

import com.fasterxml.jackson.core.type.TypeReference;
import io.netty.handler.codec.http.HttpMethod;
import java.nio.file.Path;
import java.util.List;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;

/**
 * Asks the relay on this host, over relay.sock. Every future fails with a {@link ProblemException};
 * UNAVAILABLE means that nobody answers on the socket. Futures complete on the client's event loop:
 * don't block in their continuations. Safe for any thread.
 */
public final class RelayClient implements AutoCloseable {
  private final UnixHttpClient http;

  /**
   * Connects per request; the socket need not exist yet.
   *
   * @param socket path of relay.sock
   */
  public RelayClient(Path socket) {
    this.http =
        new UnixHttpClient("relay", socket, "start it with `systemctl start vmferry-relay`");
  }

  /** This node, its replicas, its peers. */
  public CompletableFuture<RelayStatus> status() {
    return http.getJson("/v1/status", new TypeReference<>() {});
  }

  /** One replica; NOT_FOUND if there is none by that name. */
  public CompletableFuture<VolumeStatus> volume(String name) {
    return http.getJson(volumePath(name), new TypeReference<>() {});
  }

  /** Who has the volume open at other nodes, one per peer; NOT_FOUND if it is not here. */
  public CompletableFuture<List<PeerClients>> peerClients(String name) {
    return http.getJson(volumePath(name) + "/peer-clients", new TypeReference<>() {});
  }

  /** Where a volume is, whichever node owns it; NOT_FOUND if no node has it. */
  public CompletableFuture<VolumeLocation> location(String name) {
    return http.getJson(volumePath(name) + "/location", new TypeReference<>() {});
  }

  /**
   * Whether a guest could use the volume here now. Changes nothing; fails with the problem that an
   * attach would fail with.
   */
  public CompletableFuture<Void> readiness(String name) {
    return http.command(HttpMethod.GET, volumePath(name) + "/readiness", null);
  }

  /** Makes a volume larger, whichever node owns it. */
  public CompletableFuture<Void> extendVolume(String name, ExtendVolume request) {
    return http.command(HttpMethod.PUT, volumePath(name) + "/size", request);
  }

  /** Deletes a volume, whichever node owns it; NOT_FOUND if no node has it. */
  public CompletableFuture<Void> deleteEverywhere(String name) {
    return http.command(HttpMethod.DELETE, volumePath(name) + "/everywhere", null);
  }

  /** Room for volumes at this node. */
  public CompletableFuture<Capacity> capacity() {
    return http.getJson("/v1/capacity", new TypeReference<>() {});
  }

  /** Creates an empty volume; NAME_TAKEN if there is one by that name. */
  public CompletableFuture<VolumeStatus> createVolume(CreateVolume request) {
    return http.json(HttpMethod.POST, "/v1/volumes", request, new TypeReference<>() {});
  }

  /**
   * Creates a volume whose content comes from an NBD server; NAME_TAKEN if there is one by that
   * name, REFUSED if the server's export can't be opened.
   */
  public CompletableFuture<VolumeStatus> fetchVolume(FetchVolume request) {
    return http.json(HttpMethod.POST, "/v1/fetched-volumes", request, new TypeReference<>() {});
  }

  /** Deletes the replica and its data; IN_USE while clients or other replicas need it. */
  public CompletableFuture<Void> deleteVolume(String name) {
    return http.command(HttpMethod.DELETE, volumePath(name), null);
  }

  /**
   * Makes the replica here the owner, though the owner does not answer; REFUSED if it does, if the
   * replica lacks blocks, or, without force, with what would be lost.
   */
  public CompletableFuture<VolumeStatus> promoteVolume(String name, PromoteVolume request) {
    return http.json(
        HttpMethod.POST, volumePath(name) + "/promotion", request, new TypeReference<>() {});
  }

  /** Attaches standbys for all volumes of a domain, or for none. */
  public CompletableFuture<Void> attachStandby(AttachStandby request) {
    return http.command(HttpMethod.POST, "/v1/standbys", request);
  }

  /** Asks whether another node would attach standbys of volumes here; changes nothing. */
  public CompletableFuture<AttachCheck> checkAttach(CheckAttach request) {
    return http.json(HttpMethod.POST, "/v1/attach-checks", request, new TypeReference<>() {});
  }

  /** Tries the way to a peer and back; NOT_FOUND if it is none. */
  public CompletableFuture<PeerProbe> probe(String node) {
    return http.getJson(
        "/v1/peers/" + UnixHttpClient.encode(node) + "/probe", new TypeReference<>() {});
  }

  /** Detaches a domain's standbys after a migration that did not happen. */
  public CompletableFuture<Void> detachStandby(UUID domain) {
    return http.command(HttpMethod.DELETE, "/v1/standbys/" + domain, null);
  }

  /** Takes over a domain's volumes: its guest was resumed here. */
  public CompletableFuture<Void> takeover(UUID domain) {
    return http.command(HttpMethod.POST, "/v1/takeovers/" + domain, null);
  }

  /** Caps the background copy, or lifts the cap. */
  public CompletableFuture<Void> setRate(SetRate request) {
    return http.command(HttpMethod.PUT, "/v1/rate", request);
  }

  /** Lets it read its configuration again; REFUSED, with nothing changed, if that is wrong. */
  public CompletableFuture<Reloaded> reload() {
    return http.json(HttpMethod.POST, "/v1/reload", null, new TypeReference<>() {});
  }

  /**
   * What happened at the relay, oldest first.
   *
   * @param after number of the last event already known, 0 for all that are kept
   */
  public CompletableFuture<List<TimelineEvent>> timeline(long after) {
    return http.getJson("/v1/timeline?after=" + after, new TypeReference<>() {});
  }

  private static String volumePath(String name) {
    return "/v1/volumes/" + UnixHttpClient.encode(name);
  }

  @Override
  public void close() {
    http.close();
  }
}
