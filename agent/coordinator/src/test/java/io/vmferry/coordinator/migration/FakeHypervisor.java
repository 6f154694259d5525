// SPDX-License-Identifier: Apache-2.0
package io.vmferry.coordinator.migration;

import io.vmferry.coordinator.hypervisor.DomainEvent;
import io.vmferry.coordinator.hypervisor.DomainInfo;
import io.vmferry.coordinator.hypervisor.DomainState;
import io.vmferry.coordinator.hypervisor.Hypervisor;
import io.vmferry.coordinator.hypervisor.HypervisorException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import java.util.function.Supplier;

/** Domains as a test sets them; answers at once, or never while {@link #silent}. */
final class FakeHypervisor implements Hypervisor {
  final Map<UUID, DomainInfo> domains = new HashMap<>();
  final Set<UUID> jobs = new HashSet<>();
  final List<String> owners = new ArrayList<>();
  final Set<String> diskErrors = new HashSet<>();
  String problem;
  String setOwnerProblem;
  String jobProblem;
  boolean silent;
  int resumes;
  int suspends;
  String suspendProblem;

  /** If set, a suspend stops the guest at once and answers when the test completes this. */
  CompletableFuture<Void> suspendGate;

  /** What {@link #resume} leaves the domain in. */
  DomainState afterResume = DomainState.RUNNING;

  private Listener listener;

  void put(DomainInfo domain) {
    domains.put(domain.uuid(), domain);
  }

  void setState(UUID domain, DomainState state) {
    DomainInfo old = domains.get(domain);
    put(
        new DomainInfo(
            domain,
            old.name(),
            state != DomainState.SHUT_OFF,
            state,
            old.disks(),
            old.definedVolumes(),
            old.owner()));
  }

  void emit(UUID domain, DomainEvent.Kind kind) {
    emit(domain, kind, 0);
  }

  void emit(UUID domain, DomainEvent.Kind kind, int number) {
    listener.event(new DomainEvent(domain, "vm", kind, number));
  }

  void connected() {
    listener.connected();
  }

  @Override
  public void start(Listener newListener) {
    listener = newListener;
  }

  @Override
  public String problem() {
    return problem;
  }

  private <T> CompletableFuture<T> answer(Supplier<T> supplier) {
    CompletableFuture<T> answer = new CompletableFuture<>();
    if (problem != null) {
      answer.completeExceptionally(new HypervisorException(problem));
    } else if (!silent) {
      answer.complete(supplier.get());
    }
    return answer;
  }

  @Override
  public CompletableFuture<List<DomainInfo>> domains() {
    return answer(
        () ->
            domains.values().stream()
                .filter(d -> !d.disks().isEmpty() || !d.definedVolumes().isEmpty())
                .toList());
  }

  @Override
  public CompletableFuture<Optional<DomainInfo>> domain(UUID domain) {
    return answer(() -> Optional.ofNullable(domains.get(domain)));
  }

  @Override
  public CompletableFuture<List<DomainInfo>> activeUsers(String volume) {
    return answer(
        () ->
            domains.values().stream()
                .filter(d -> d.active() && d.volumes().contains(volume))
                .toList());
  }

  @Override
  public CompletableFuture<Boolean> jobActive(UUID domain) {
    if (jobProblem != null) {
      return CompletableFuture.failedFuture(new HypervisorException(jobProblem));
    }
    return answer(() -> jobs.contains(domain));
  }

  @Override
  public CompletableFuture<Set<String>> diskErrors(UUID domain) {
    return answer(() -> Set.copyOf(diskErrors));
  }

  @Override
  public CompletableFuture<Void> setOwner(UUID domain, String node) {
    if (setOwnerProblem != null) {
      return CompletableFuture.failedFuture(new HypervisorException(setOwnerProblem));
    }
    return answer(
        () -> {
          owners.add(node);
          DomainInfo old = domains.get(domain);
          put(
              new DomainInfo(
                  domain,
                  old.name(),
                  old.active(),
                  old.state(),
                  old.disks(),
                  old.definedVolumes(),
                  node));
          return null;
        });
  }

  @Override
  public CompletableFuture<Void> suspend(UUID domain) {
    if (suspendProblem != null) {
      return CompletableFuture.failedFuture(new HypervisorException(suspendProblem));
    }
    return answer(
            () -> {
              suspends++;
              setState(domain, DomainState.PAUSED);
              return null;
            })
        .thenCompose(
            nothing -> suspendGate == null ? CompletableFuture.completedFuture(null) : suspendGate);
  }

  @Override
  public CompletableFuture<Void> resume(UUID domain) {
    return answer(
        () -> {
          resumes++;
          setState(domain, afterResume);
          return null;
        });
  }

  @Override
  public void close() {}
}
