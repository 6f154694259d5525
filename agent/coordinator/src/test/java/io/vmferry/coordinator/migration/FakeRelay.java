// SPDX-License-Identifier: Apache-2.0
package io.vmferry.coordinator.migration;

import io.vmferry.api.AttachStandby;
import io.vmferry.api.Epoch;
import io.vmferry.api.PeerClients;
import io.vmferry.api.Problem;
import io.vmferry.api.ProblemException;
import io.vmferry.api.RelayStatus;
import io.vmferry.api.VolumeState;
import io.vmferry.api.VolumeStatus;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Deque;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;

/** Volumes as a test sets them; does what the relay promises to do. */
final class FakeRelay implements Relay {
  final Map<String, VolumeStatus> volumes = new LinkedHashMap<>();
  final List<AttachStandby> attached = new ArrayList<>();
  final List<UUID> dropped = new ArrayList<>();
  final List<String> deleted = new ArrayList<>();
  boolean up = true;
  String attachProblem;
  String takeoverProblem;
  String deleteProblem;
  int takeovers;

  /** For volumes put from now on that are complete elsewhere. */
  Instant completeSince = Instant.EPOCH;

  /** Takeovers answer success, yet leave the volumes as they are. */
  boolean takeoverDoesNothing;

  /** If set, a drop ends when the test completes this. */
  CompletableFuture<Void> dropGate;

  /** If set, an attach ends when the test completes this. */
  CompletableFuture<Void> attachGate;

  void put(String name, VolumeState state, UUID domain) {
    put(name, state, domain, 0, null, null);
  }

  void put(
      String name, VolumeState state, UUID domain, int clients, String completeAt, String failure) {
    volumes.put(
        name,
        new VolumeStatus(
            name,
            UUID.nameUUIDFromBytes(new byte[] {1}),
            1 << 20,
            state,
            new Epoch(1, "hosta"),
            domain,
            clients,
            0,
            0,
            null,
            List.of(),
            completeAt,
            completeAt == null ? null : completeSince,
            null,
            failure));
  }

  private static <T> CompletableFuture<T> failed(Problem.Code code, String message) {
    return CompletableFuture.failedFuture(new ProblemException(code, message));
  }

  private static <T> CompletableFuture<T> down() {
    return failed(Problem.Code.UNAVAILABLE, "the relay does not answer");
  }

  /** Questions for the status that the test answers; null to answer at once. */
  Deque<CompletableFuture<RelayStatus>> heldStatuses;

  void answerOldestStatus() {
    heldStatuses.removeFirst().complete(currentStatus());
  }

  private RelayStatus currentStatus() {
    return new RelayStatus("hostb", "0", List.copyOf(volumes.values()), List.of(), null);
  }

  @Override
  public CompletableFuture<RelayStatus> status() {
    if (heldStatuses != null) {
      heldStatuses.addLast(new CompletableFuture<>());
      return heldStatuses.getLast();
    }
    return up ? CompletableFuture.completedFuture(currentStatus()) : down();
  }

  /** What the peers say of every volume. */
  List<PeerClients> peerClients = List.of(new PeerClients("hosta", 0, null));

  @Override
  public CompletableFuture<List<PeerClients>> peerClients(String volume) {
    return up ? CompletableFuture.completedFuture(peerClients) : down();
  }

  @Override
  public CompletableFuture<Void> attach(AttachStandby request) {
    if (!up) {
      return down();
    }
    attached.add(request);
    if (attachProblem != null) {
      return failed(Problem.Code.OWNER_UNREACHABLE, attachProblem);
    }
    request
        .volumes()
        .forEach(
            name -> {
              if (!volumes.containsKey(name)) {
                put(name, VolumeState.STANDBY, request.domain());
              }
            });
    return attachGate == null ? CompletableFuture.completedFuture(null) : attachGate;
  }

  @Override
  public CompletableFuture<Void> drop(UUID domain) {
    if (!up) {
      return down();
    }
    dropped.add(domain);
    volumes.values().removeIf(v -> v.state() == VolumeState.STANDBY && domain.equals(v.domain()));
    return dropGate == null ? CompletableFuture.completedFuture(null) : dropGate;
  }

  @Override
  public CompletableFuture<Void> takeover(UUID domain) {
    if (!up) {
      return down();
    }
    takeovers++;
    if (takeoverProblem != null) {
      return failed(Problem.Code.REFUSED, takeoverProblem);
    }
    if (!takeoverDoesNothing) {
      volumes.values().stream()
          .filter(v -> domain.equals(v.domain()))
          .toList()
          .forEach(v -> put(v.name(), VolumeState.FETCHING, domain));
    }
    return CompletableFuture.completedFuture(null);
  }

  @Override
  public CompletableFuture<Void> delete(String volume) {
    if (deleteProblem != null) {
      return failed(Problem.Code.IN_USE, deleteProblem);
    }
    deleted.add(volume);
    volumes.remove(volume);
    return CompletableFuture.completedFuture(null);
  }
}
