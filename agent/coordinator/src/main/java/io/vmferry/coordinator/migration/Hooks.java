// SPDX-License-Identifier: Apache-2.0
package io.vmferry.coordinator.migration;

import io.vmferry.api.Timeline;
import io.vmferry.coordinator.hypervisor.DomainXml;
import io.vmferry.coordinator.hypervisor.VmferryDisk;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Answers libvirt's QEMU hook. Only {@code migrate}, {@code prepare} and {@code start} can be
 * refused: libvirt ignores a refusal of the others, except that it kills QEMU for one of {@code
 * reconnect}. libvirt holds the domain until the answer, so it is never asked in here. Safe for any
 * thread.
 */
public final class Hooks {
  private static final Logger log = LoggerFactory.getLogger(Hooks.class);

  /** Attaching may ask every peer; shorter than the control API's own limit of 60 seconds. */
  static final Duration ATTACH_TIMEOUT = Duration.ofSeconds(50);

  private final String nbdSocket;
  private final Coordinator coordinator;
  private final Timeline timeline;
  private final Duration attachTimeout;

  /**
   * @param nbdSocket path of the relay's NBD socket as it stands in domain XML
   */
  public Hooks(String nbdSocket, Coordinator coordinator, Timeline timeline) {
    this(nbdSocket, coordinator, timeline, ATTACH_TIMEOUT);
  }

  /**
   * @param nbdSocket path of the relay's NBD socket as it stands in domain XML
   * @param attachTimeout how long the relay may take to attach, in real time
   */
  public Hooks(
      String nbdSocket, Coordinator coordinator, Timeline timeline, Duration attachTimeout) {
    this.nbdSocket = nbdSocket;
    this.coordinator = coordinator;
    this.timeline = timeline;
    this.attachTimeout = attachTimeout;
  }

  /**
   * Handles one call of the hook.
   *
   * @param domain the hook's first argument, libvirt's name of the domain
   * @param operation the second, for example {@code migrate}
   * @param subOperation the third, for example {@code begin}
   * @param extra the fourth; libvirt 10.5 and later say here why a domain was released
   * @param xml the hook's standard input
   * @return empty, or one sentence that says why the operation is refused
   */
  public CompletableFuture<Optional<String>> call(
      String domain, String operation, String subOperation, String extra, String xml) {
    boolean attaches =
        subOperation.equals("begin")
            && (operation.equals("migrate")
                || operation.equals("prepare")
                || operation.equals("start"));
    DomainXml parsed;
    try {
      parsed = DomainXml.parse(xml, nbdSocket);
    } catch (DomainXml.InvalidException e) {
      String reason = e.getMessage() + "; look at it with `virsh dumpxml " + domain + "`";
      log.warn("hook {} {} of domain {}: {}", operation, subOperation, domain, reason);
      return answer(attaches ? sentence(domain, reason) : null);
    }
    if (parsed.disks().isEmpty()) {
      return answer(null);
    }
    String call = operation + " " + subOperation + (extra.equals("-") ? "" : " " + extra);
    timeline.add(parsed.name(), "hook", call);
    if (attaches) {
      return attach(parsed, operation);
    }
    if (operation.equals("stopped") || operation.equals("release")) {
      coordinator.stopped(parsed.uuid(), parsed.name());
    }
    return answer(null);
  }

  private CompletableFuture<Optional<String>> attach(DomainXml domain, String operation) {
    return coordinator
        .attach(domain, operation.equals("migrate"))
        .orTimeout(attachTimeout.toMillis(), TimeUnit.MILLISECONDS)
        .handle(
            (nothing, failure) -> {
              if (failure == null) {
                return Optional.empty();
              }
              String refusal = sentence(domain.name(), reason(failure));
              DomainLog.about(log.atWarn(), domain.uuid(), volumes(domain))
                  .log("hook {}: {}", operation, refusal);
              timeline.add(domain.name(), "hook", operation + " refused: " + refusal);
              return Optional.of(refusal);
            });
  }

  private static List<String> volumes(DomainXml domain) {
    return domain.disks().stream().map(VmferryDisk::volume).distinct().toList();
  }

  private String reason(Throwable failure) {
    boolean late =
        failure instanceof TimeoutException
            || (failure instanceof CompletionException
                && failure.getCause() instanceof TimeoutException);
    return late
        ? "the relay did not attach its volumes within "
            + attachTimeout.toSeconds()
            + " s; look at `vmferry status` and try again"
        : Scheduler.reason(failure);
  }

  private static String sentence(String domain, String reason) {
    return "vmferry: domain " + domain + ": " + reason;
  }

  private static CompletableFuture<Optional<String>> answer(String refusal) {
    return CompletableFuture.completedFuture(Optional.ofNullable(refusal));
  }
}
