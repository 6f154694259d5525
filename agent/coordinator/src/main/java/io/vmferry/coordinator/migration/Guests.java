// SPDX-License-Identifier: Apache-2.0
package io.vmferry.coordinator.migration;

import io.vmferry.api.GuestStatus;
import io.vmferry.api.Problem;
import io.vmferry.api.ProblemException;
import io.vmferry.coordinator.hypervisor.DomainInfo;
import io.vmferry.coordinator.hypervisor.Hypervisor;
import java.time.Duration;
import java.util.Comparator;
import java.util.List;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.function.Predicate;

/**
 * Says what the guest of a volume does, for the relay that was asked to hand the volume over. Read
 * from the hypervisor at each question; if that is not possible there is no answer. Safe for any
 * thread.
 */
public final class Guests {
  /** A hung libvirtd must not hang the relay's question; it asks again. */
  private static final Duration TIMEOUT = Duration.ofSeconds(2);

  private final Hypervisor hypervisor;
  private final Predicate<UUID> incoming;
  private final Duration timeout;

  /**
   * @param incoming whether a domain is here as the destination of a migration, not resumed yet;
   *     called on any thread
   */
  public Guests(Hypervisor hypervisor, Predicate<UUID> incoming) {
    this(hypervisor, incoming, TIMEOUT);
  }

  /**
   * @param timeout how long the hypervisor may take, in real time
   */
  public Guests(Hypervisor hypervisor, Predicate<UUID> incoming, Duration timeout) {
    this.hypervisor = hypervisor;
    this.incoming = incoming;
    this.timeout = timeout;
  }

  /**
   * The most active guest that has the volume as a disk.
   *
   * @return fails with UNAVAILABLE if the hypervisor can't be asked
   */
  public CompletableFuture<GuestStatus> of(String volume) {
    return hypervisor
        .activeUsers(volume)
        .orTimeout(timeout.toMillis(), TimeUnit.MILLISECONDS)
        .handle(
            (users, failure) -> {
              if (failure != null) {
                throw unavailable(volume, failure);
              }
              return mostActive(users);
            });
  }

  private GuestStatus mostActive(List<DomainInfo> users) {
    return users.stream()
        .map(user -> new GuestStatus(stateOf(user), user.uuid(), user.name()))
        .max(Comparator.comparing(GuestStatus::state))
        .orElse(new GuestStatus(GuestStatus.State.NONE, null, null));
  }

  /**
   * Anything not known to be stopped for a migration is active: a takeover then waits or is
   * refused, which costs time only.
   */
  private GuestStatus.State stateOf(DomainInfo user) {
    return switch (user.state()) {
      case PAUSED_MIGRATION, PAUSED_POSTCOPY, PAUSED_POSTCOPY_FAILED ->
          GuestStatus.State.STOPPED_FOR_MIGRATION;
      case STARTING_UP ->
          incoming.test(user.uuid())
              ? GuestStatus.State.STOPPED_FOR_MIGRATION
              : GuestStatus.State.ACTIVE;
      case SHUT_OFF -> GuestStatus.State.NONE;
      case RUNNING, PAUSED, PAUSED_IO_ERROR, OTHER -> GuestStatus.State.ACTIVE;
    };
  }

  private ProblemException unavailable(String volume, Throwable failure) {
    String problem = hypervisor.problem();
    String reason =
        problem == null ? "libvirt did not answer (" + Scheduler.reason(failure) + ")" : problem;
    return new ProblemException(
        Problem.Code.UNAVAILABLE,
        "what the guest of volume "
            + volume
            + " does is not known: "
            + reason
            + "; it is asked for again");
  }
}
