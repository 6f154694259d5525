// SPDX-License-Identifier: Apache-2.0
package io.vmferry.coordinator.libvirt;

import io.vmferry.coordinator.hypervisor.DomainInfo;
import io.vmferry.coordinator.hypervisor.DomainState;
import io.vmferry.coordinator.hypervisor.DomainXml;
import io.vmferry.coordinator.hypervisor.Hypervisor;
import io.vmferry.coordinator.hypervisor.HypervisorException;
import io.vmferry.coordinator.hypervisor.VmferryDisk;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.UUID;
import java.util.concurrent.Callable;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Executors;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import org.libvirt.Domain;
import org.libvirt.Error.ErrorNumber;
import org.libvirt.LibvirtException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The hypervisor over one libvirt connection that is opened again whenever it is lost.
 *
 * <p>Two worker threads make the blocking calls. Reads that need no job on the domain have one for
 * themselves: a relay waits for them while a guest stands still. Calls that can wait for a job (30
 * seconds in libvirt's default) are on the other. Each suspend, which may take as long as a lost
 * link, has a thread of its own.
 */
public final class LibvirtHypervisor implements Hypervisor {
  private static final Logger log = LoggerFactory.getLogger(LibvirtHypervisor.class);

  /** Seconds without an answer before a keepalive is sent, and how many may stay unanswered. */
  private static final int KEEPALIVE_INTERVAL_SECONDS = 5;

  private static final int KEEPALIVE_COUNT = 3;

  /** First and last pause between two attempts to connect; doubled in between. */
  static final Duration FIRST_RECONNECT = Duration.ofMillis(500);

  static final Duration LAST_RECONNECT = Duration.ofSeconds(10);

  /** Disks per domain, for {@code virDomainGetDiskErrors}: libvirt's RPC refuses larger arrays. */
  private static final int MAX_DISKS = 256;

  private final String uri;
  private final String nbdSocket;
  private final LibvirtCallbacks callbacks;
  private final ScheduledExecutorService reads = worker("libvirt-reads");
  private final ScheduledExecutorService jobs = worker("libvirt-jobs");

  private volatile Listener listener;
  private volatile LibvirtConnection connection;
  private volatile String problem = "not connected to libvirt yet";
  private volatile boolean closed;
  // Only on the reads worker.
  private Duration nextReconnect = FIRST_RECONNECT;
  private String loggedProblem;

  /**
   * @param uri libvirt connection URI
   * @param nbdSocket path of the relay's NBD socket as it stands in domain XML
   */
  public LibvirtHypervisor(String uri, String nbdSocket) {
    this.uri = uri;
    this.nbdSocket = nbdSocket;
    this.callbacks = new LibvirtCallbacks(event -> listener.event(event));
  }

  private static ScheduledExecutorService worker(String name) {
    return Executors.newSingleThreadScheduledExecutor(
        task -> {
          Thread thread = new Thread(task, name);
          // A call into a hung libvirtd must not keep the agent from stopping.
          thread.setDaemon(true);
          return thread;
        });
  }

  @Override
  public void start(Listener listener) {
    this.listener = listener;
    reads.execute(this::connect);
  }

  @Override
  public String problem() {
    return problem;
  }

  private void connect() {
    if (closed || connection != null) {
      return;
    }
    LibvirtConnection opened = null;
    try {
      LibvirtEventLoop.ensureStarted();
      opened = new LibvirtConnection(uri);
      LibvirtConnection watched = opened;
      ifSupported(() -> watched.setKeepAlive(KEEPALIVE_INTERVAL_SECONDS, KEEPALIVE_COUNT));
      ifSupported(
          () ->
              watched.registerCloseListener(
                  (lost, reason) -> onReads(() -> lost(watched, "connection closed: " + reason))));
      opened.register(callbacks.byEventId());
      connection = opened;
      problem = null;
      nextReconnect = FIRST_RECONNECT;
      loggedProblem = null;
      log.info("connected to libvirt at {}", uri);
      listener.connected();
    } catch (LibvirtException | HypervisorException e) {
      if (opened != null) {
        close(opened);
      }
      notConnected(e.getMessage());
    } catch (LinkageError e) {
      notConnected("its client library can't be loaded (Debian: libvirt0, others: libvirt-libs)");
    }
  }

  private void notConnected(String reason) {
    problem = "can't connect to libvirt at " + uri + ": " + reason + "; is libvirtd running?";
    if (!problem.equals(loggedProblem)) {
      loggedProblem = problem;
      log.warn("{} Trying again, up to every {} s.", problem, LAST_RECONNECT.toSeconds());
    }
    Duration pause = nextReconnect;
    Duration doubled = pause.multipliedBy(2);
    nextReconnect = doubled.compareTo(LAST_RECONNECT) < 0 ? doubled : LAST_RECONNECT;
    try {
      var unused = reads.schedule(this::connect, pause.toMillis(), TimeUnit.MILLISECONDS);
    } catch (RejectedExecutionException e) {
      log.debug("closed while connecting");
    }
  }

  /** Which object, not which libvirtd: a connection's equals says the latter. */
  @SuppressWarnings("ReferenceEquality")
  private boolean isCurrent(LibvirtConnection which) {
    return connection == which;
  }

  private void lost(LibvirtConnection which, String reason) {
    if (!isCurrent(which)) {
      return;
    }
    connection = null;
    problem = "lost libvirt at " + uri + " (" + reason + "), connecting again";
    log.warn("{}", problem);
    close(which);
    listener.disconnected(problem);
    connect();
  }

  private static void close(LibvirtConnection which) {
    try {
      which.deregister();
      ifSupported(which::unregisterCloseListener);
      which.close();
    } catch (LibvirtException e) {
      log.debug("closing a libvirt connection: {}", e.getMessage());
    }
  }

  /** A call of libvirt-java. */
  private interface LibvirtCall {
    void run() throws LibvirtException;
  }

  /** For what local test drivers lack; the remote driver has all of it. */
  private static void ifSupported(LibvirtCall call) throws LibvirtException {
    try {
      call.run();
    } catch (LibvirtException e) {
      if (e.getError().getCode() != ErrorNumber.VIR_ERR_NO_SUPPORT) {
        throw e;
      }
    }
  }

  @Override
  public CompletableFuture<List<DomainInfo>> domains() {
    return ask(
        reads,
        () ->
            readAll(LibvirtCodes.LIST_ALL).stream()
                .filter(LibvirtHypervisor::hasVmferryDisks)
                .toList());
  }

  private static boolean hasVmferryDisks(DomainInfo domain) {
    return !domain.disks().isEmpty() || !domain.definedVolumes().isEmpty();
  }

  @Override
  public CompletableFuture<Optional<DomainInfo>> domain(UUID domain) {
    return ask(
        reads,
        () -> {
          Domain found = lookup(domain);
          return found == null ? Optional.empty() : readAndFree(found);
        });
  }

  @Override
  public CompletableFuture<List<DomainInfo>> activeUsers(String volume) {
    return ask(
        reads,
        () ->
            readAll(LibvirtCodes.LIST_ACTIVE).stream()
                .filter(domain -> domain.volumes().contains(volume))
                .toList());
  }

  @Override
  public CompletableFuture<Boolean> jobActive(UUID domain) {
    return ask(
        jobs,
        () -> {
          Domain found = lookup(domain);
          if (found == null) {
            return false;
          }
          try {
            return LibvirtCodes.jobActive(found.getJobInfo().getType());
          } finally {
            found.free();
          }
        });
  }

  @Override
  public CompletableFuture<Set<String>> diskErrors(UUID domain) {
    return ask(jobs, () -> connected().diskErrors(domain, MAX_DISKS));
  }

  @Override
  public CompletableFuture<Void> setOwner(UUID domain, String node) {
    return command(
        jobs,
        domain,
        found -> {
          boolean persistent = found.isPersistent() == 1;
          found.setMetadata(
              Domain.MetadataType.ELEMENT,
              DomainXml.ownerMetadata(node),
              DomainXml.PREFIX,
              DomainXml.NAMESPACE,
              LibvirtCodes.AFFECT_LIVE | (persistent ? LibvirtCodes.AFFECT_CONFIG : 0));
        });
  }

  @Override
  public CompletableFuture<Void> suspend(UUID domain) {
    // A thread of its own: one domain's outage must not keep the jobs of all others waiting.
    ScheduledExecutorService own = worker("libvirt-suspend");
    CompletableFuture<Void> done = command(own, domain, Domain::suspend);
    own.shutdown();
    return done;
  }

  @Override
  public CompletableFuture<Void> resume(UUID domain) {
    return command(jobs, domain, Domain::resume);
  }

  /** Something done to a domain. */
  private interface DomainCommand {
    void run(Domain domain) throws LibvirtException;
  }

  private CompletableFuture<Void> command(
      ScheduledExecutorService worker, UUID domain, DomainCommand command) {
    return ask(
        worker,
        () -> {
          Domain found = lookup(domain);
          if (found == null) {
            throw new HypervisorException("domain " + domain + " is not here any more");
          }
          try {
            command.run(found);
            return null;
          } finally {
            found.free();
          }
        });
  }

  private List<DomainInfo> readAll(int flags) throws LibvirtException {
    List<DomainInfo> domains = new ArrayList<>();
    for (Domain domain : connected().listAllDomains(flags)) {
      readAndFree(domain).ifPresent(domains::add);
    }
    return domains;
  }

  /** Empty if the domain went away meanwhile. */
  private Optional<DomainInfo> readAndFree(Domain domain) throws LibvirtException {
    try {
      return Optional.of(read(domain));
    } catch (DomainXml.InvalidException e) {
      throw new HypervisorException(domain.getName() + ": " + e.getMessage(), e);
    } catch (LibvirtException e) {
      if (e.getError().getCode() == ErrorNumber.VIR_ERR_NO_DOMAIN) {
        return Optional.empty();
      }
      throw e;
    } finally {
      domain.free();
    }
  }

  /** The state is read after the disks: what is said of them then errs to what came later. */
  private DomainInfo read(Domain domain) throws LibvirtException, DomainXml.InvalidException {
    DomainXml xml = DomainXml.parse(domain.getXMLDesc(0), nbdSocket);
    boolean persistent = domain.isPersistent() == 1;
    boolean active = domain.isActive() == 1;
    List<String> defined = List.of();
    if (persistent) {
      DomainXml definition =
          active ? DomainXml.parse(domain.getXMLDesc(Domain.XMLFlags.INACTIVE), nbdSocket) : xml;
      defined = definition.disks().stream().map(VmferryDisk::volume).distinct().toList();
    }
    DomainState state = connected().state(xml.uuid(), active);
    return new DomainInfo(xml.uuid(), xml.name(), active, state, xml.disks(), defined, xml.owner());
  }

  /** Null if there is no such domain. */
  private Domain lookup(UUID domain) throws LibvirtException {
    try {
      return connected().domainLookupByUUIDString(domain.toString());
    } catch (LibvirtException e) {
      if (e.getError().getCode() == ErrorNumber.VIR_ERR_NO_DOMAIN) {
        return null;
      }
      throw e;
    }
  }

  private LibvirtConnection connected() {
    LibvirtConnection current = connection;
    if (current == null) {
      throw new HypervisorException(problem);
    }
    return current;
  }

  private <T> CompletableFuture<T> ask(ScheduledExecutorService worker, Callable<T> question) {
    CompletableFuture<T> answer = new CompletableFuture<>();
    if (connection == null) {
      answer.completeExceptionally(new HypervisorException(problem));
      return answer;
    }
    try {
      worker.execute(() -> answer(question, answer));
    } catch (RejectedExecutionException e) {
      answer.completeExceptionally(new HypervisorException("the agent is stopping", e));
    }
    return answer;
  }

  private <T> void answer(Callable<T> question, CompletableFuture<T> answer) {
    LibvirtConnection used = connection;
    try {
      answer.complete(question.call());
    } catch (HypervisorException e) {
      answer.completeExceptionally(e);
      loseIfDead(used);
    } catch (Exception e) {
      answer.completeExceptionally(new HypervisorException("libvirt: " + e.getMessage(), e));
      loseIfDead(used);
    }
  }

  /** The close callback normally comes first; it does not if the event loop is stuck. */
  private void loseIfDead(LibvirtConnection used) {
    onReads(
        () -> {
          try {
            if (used != null && isCurrent(used) && !used.isAlive()) {
              lost(used, "connection dead");
            }
          } catch (LibvirtException e) {
            lost(used, e.getMessage());
          }
        });
  }

  private void onReads(Runnable task) {
    try {
      reads.execute(task);
    } catch (RejectedExecutionException e) {
      log.debug("closed meanwhile");
    }
  }

  @Override
  public void close() {
    closed = true;
    onReads(
        () -> {
          LibvirtConnection current = connection;
          connection = null;
          problem = "the agent is stopping";
          if (current != null) {
            close(current);
          }
        });
    reads.shutdown();
    jobs.shutdownNow();
  }
}
