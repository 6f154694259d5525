// SPDX-License-Identifier: Apache-2.0
package io.vmferry.simulation;

import io.vmferry.coordinator.hypervisor.DomainEvent;
import io.vmferry.coordinator.hypervisor.DomainInfo;
import io.vmferry.coordinator.hypervisor.Hypervisor;
import io.vmferry.coordinator.hypervisor.HypervisorException;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import java.util.function.Consumer;
import java.util.function.Supplier;

/**
 * One agent's connection to the libvirtd of its host. Like the real one it has a worker for reads
 * and one for what may wait for a job; events come in order, late, and not at all while the
 * connection is lost.
 */
final class StubHypervisor implements Hypervisor {
  private static final int READ_NANOS = 2_000_000;
  private static final int CONNECT_NANOS = 30_000_000;
  private static final Duration FIRST_RECONNECT = Duration.ofMillis(500);
  private static final Duration LAST_RECONNECT = Duration.ofSeconds(10);

  private final World world;
  private final Host host;
  private final Deque<Runnable> jobs = new ArrayDeque<>();
  private Listener listener;
  private String problem = "not connected to libvirt yet";
  private boolean closed;
  private Duration nextReconnect = FIRST_RECONNECT;
  private long readsFreeAt;
  private long lastEventAt;
  private boolean jobUnderWay;

  StubHypervisor(World world, Host host) {
    this.world = world;
    this.host = host;
  }

  @Override
  public void start(Listener newListener) {
    listener = newListener;
    world.later(CONNECT_NANOS, this::connect);
  }

  private void connect() {
    if (closed || problem == null) {
      return;
    }
    if (host.libvirtd().isAlive()) {
      problem = null;
      nextReconnect = FIRST_RECONNECT;
      host.libvirtd().connect(this);
      listener.connected();
      return;
    }
    problem = "can't connect to libvirt; is libvirtd running?";
    world.after(nextReconnect, this::connect);
    nextReconnect =
        nextReconnect.compareTo(LAST_RECONNECT) < 0
            ? nextReconnect.multipliedBy(2)
            : LAST_RECONNECT;
  }

  /** libvirtd has ended. */
  void lost() {
    problem = "lost libvirt (connection closed)";
    if (!closed) {
      listener.disconnected(problem);
      world.later(CONNECT_NANOS, this::connect);
    }
  }

  void event(DomainEvent event) {
    long now = world.time().nanoTime();
    lastEventAt = Math.max(lastEventAt, now + world.eventDelayNanos());
    world
        .time()
        .at(
            lastEventAt - now,
            () -> {
              if (!closed && problem == null) {
                listener.event(event);
              }
            });
  }

  @Override
  public String problem() {
    return problem;
  }

  private <T> CompletableFuture<T> read(Supplier<T> question) {
    CompletableFuture<T> answer = new CompletableFuture<>();
    if (closed) {
      return answer;
    }
    long now = world.time().nanoTime();
    readsFreeAt = Math.max(readsFreeAt, now) + 1 + world.random().nextInt(READ_NANOS);
    world.time().at(readsFreeAt - now, () -> complete(answer, question));
    return answer;
  }

  private <T> void complete(CompletableFuture<T> answer, Supplier<T> question) {
    if (closed) {
      return;
    }
    if (problem != null) {
      answer.completeExceptionally(new HypervisorException(problem));
      return;
    }
    try {
      answer.complete(question.get());
    } catch (HypervisorException e) {
      answer.completeExceptionally(e);
    }
  }

  /** Something done to a domain that may have to wait. */
  private interface Command<T> {
    void run(Consumer<T> done, Consumer<String> failed);
  }

  private <T> CompletableFuture<T> job(Command<T> command) {
    CompletableFuture<T> answer = new CompletableFuture<>();
    if (!closed) {
      jobs.add(() -> run(command, answer, this::nextJob));
      if (!jobUnderWay) {
        nextJob();
      }
    }
    return answer;
  }

  private void nextJob() {
    Runnable job = closed ? null : jobs.poll();
    jobUnderWay = job != null;
    if (job != null) {
      world.later(READ_NANOS, job);
    }
  }

  private <T> void run(Command<T> command, CompletableFuture<T> answer, Runnable then) {
    if (closed) {
      return;
    }
    if (problem != null) {
      answer.completeExceptionally(new HypervisorException(problem));
      then.run();
      return;
    }
    command.run(
        value -> {
          if (!closed) {
            answer.complete(value);
            then.run();
          }
        },
        why -> {
          if (!closed) {
            answer.completeExceptionally(new HypervisorException("libvirt: " + why));
            then.run();
          }
        });
  }

  @Override
  public CompletableFuture<List<DomainInfo>> domains() {
    return read(() -> host.libvirtd().domains().stream().map(LibvirtDomain::info).toList());
  }

  @Override
  public CompletableFuture<Optional<DomainInfo>> domain(UUID domain) {
    return read(() -> Optional.ofNullable(host.libvirtd().domain(domain)).map(LibvirtDomain::info));
  }

  @Override
  public CompletableFuture<List<DomainInfo>> activeUsers(String volume) {
    return read(
        () ->
            host.libvirtd().domains().stream()
                .map(LibvirtDomain::info)
                .filter(domain -> domain.active() && domain.volumes().contains(volume))
                .toList());
  }

  @Override
  public CompletableFuture<Boolean> jobActive(UUID domain) {
    return job(
        (done, failed) -> {
          LibvirtDomain found = host.libvirtd().domain(domain);
          if (found != null && found.isIncoming()) {
            failed.accept("migration statistics are available only on the source host");
          } else {
            done.accept(found != null && found.hasJob());
          }
        });
  }

  @Override
  public CompletableFuture<Set<String>> diskErrors(UUID domain) {
    return job(
        (done, failed) -> {
          LibvirtDomain found = host.libvirtd().domain(domain);
          if (found == null || !found.isActive()) {
            failed.accept("the domain is not running");
          } else {
            done.accept(found.diskErrors());
          }
        });
  }

  @Override
  public CompletableFuture<Void> setOwner(UUID domain, String node) {
    return job(
        (done, failed) ->
            host.libvirtd()
                .whenNoJob(
                    domain,
                    found -> {
                      world.trace().add("agent " + host.name() + " names " + node + " as owner");
                      found.setOwner(node);
                      done.accept(null);
                    },
                    failed));
  }

  @Override
  public CompletableFuture<Void> suspend(UUID domain) {
    CompletableFuture<Void> answer = new CompletableFuture<>();
    world.later(
        READ_NANOS,
        () ->
            run(
                (done, failed) ->
                    host.libvirtd()
                        .whenNoJob(domain, found -> found.suspendByAgent(done, failed), failed),
                answer,
                () -> {}));
    return answer;
  }

  @Override
  public CompletableFuture<Void> resume(UUID domain) {
    return job(
        (done, failed) ->
            host.libvirtd().whenNoJob(domain, found -> found.resumeByAgent(done, failed), failed));
  }

  @Override
  public void close() {
    closed = true;
    host.libvirtd().disconnect(this);
  }
}
