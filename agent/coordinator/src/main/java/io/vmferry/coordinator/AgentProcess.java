// SPDX-License-Identifier: Apache-2.0
package io.vmferry.coordinator;

import io.vmferry.api.ControlServer;
import io.vmferry.api.RelayClient;
import io.vmferry.api.ReloadApi;
import io.vmferry.api.Reloaded;
import io.vmferry.api.Timeline;
import io.vmferry.api.metrics.MetricsServer;
import io.vmferry.api.service.ServiceManager;
import io.vmferry.api.service.Watchdog;
import io.vmferry.config.Config;
import io.vmferry.config.RunningConfig;
import io.vmferry.coordinator.libvirt.LibvirtHypervisor;
import io.vmferry.coordinator.migration.AgentThread;
import io.vmferry.coordinator.migration.Coordinator;
import io.vmferry.coordinator.migration.Guests;
import io.vmferry.coordinator.migration.Hooks;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.file.attribute.PosixFilePermission;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Clock;
import java.time.InstantSource;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.CountDownLatch;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The agent: everything wired together. It holds no guest's disk, so it may stop, crash and be
 * replaced at any time; what it misses meanwhile it makes up for when it starts.
 */
public final class AgentProcess implements AutoCloseable {
  private static final Logger log = LoggerFactory.getLogger(AgentProcess.class);

  /** The group is the operators'; hooks and relay run as root or as the agent's own user. */
  private static final Set<PosixFilePermission> SOCKET_MODE =
      PosixFilePermissions.fromString("rw-rw----");

  /** Keys of the configuration that a running agent does not look at again. */
  private static final Set<String> READ_AT_START =
      Set.of(
          "node",
          "paths.run",
          "guest.pause-after",
          "retention.keep-for",
          "retention.keep-copies",
          "libvirt.uri",
          "metrics.agent-listen");

  private final AgentThread thread;
  private final LibvirtHypervisor hypervisor;
  private final RelayClient relay;
  private final ControlServer server;
  private final Optional<MetricsServer> metrics;
  private final CountDownLatch closed = new CountDownLatch(1);

  private AgentProcess(
      AgentThread thread,
      LibvirtHypervisor hypervisor,
      RelayClient relay,
      ControlServer server,
      Optional<MetricsServer> metrics) {
    this.thread = thread;
    this.hypervisor = hypervisor;
    this.relay = relay;
    this.server = server;
    this.metrics = metrics;
  }

  /**
   * Runs the agent until the process gets SIGTERM or SIGINT.
   *
   * @param version of the program, shown in the status
   * @param manager is told when hooks are answered, and that the deciding thread is alive
   * @throws IOException if agent.sock can't be bound
   */
  public static void run(RunningConfig running, String version, ServiceManager manager)
      throws IOException, InterruptedException {
    AgentProcess agent = start(running, version);
    Thread shutdown =
        new Thread(
            () -> {
              manager.stopping();
              agent.close();
            },
            "shutdown");
    Runtime.getRuntime().addShutdownHook(shutdown);
    Watchdog.start(manager, agent.thread::schedule);
    manager.ready("answers hooks on " + running.atStart().paths().agentSocket());
    agent.closed.await();
  }

  /**
   * Starts the agent. Neither libvirtd nor the relay need be there yet.
   *
   * @param version of the program, shown in the status
   * @throws IOException if agent.sock can't be bound
   */
  public static AgentProcess start(Config config, String version) throws IOException {
    return start(new RunningConfig(config, () -> config), version);
  }

  private static AgentProcess start(RunningConfig running, String version) throws IOException {
    Config config = running.atStart();
    running.readAtStart(READ_AT_START);
    String node = config.node();
    String nbdSocket = config.paths().nbdSocket().toString();
    Timeline timeline = new Timeline(node, Clock.systemUTC());
    AgentThread thread = new AgentThread();
    LibvirtHypervisor hypervisor = new LibvirtHypervisor(config.libvirtUri(), nbdSocket);
    RelayClient relayClient = new RelayClient(config.paths().relaySocket());
    MeasuredRelay measured = new MeasuredRelay(new RelayOverClient(relayClient), System::nanoTime);
    Coordinator coordinator =
        new Coordinator(
            node,
            thread,
            hypervisor,
            measured,
            timeline,
            config.guest().pauseAfter(),
            new PauseMarkFiles(config.paths().pausedDomains()),
            config.retention(),
            InstantSource.system());
    AgentService service =
        new AgentService(
            node,
            version,
            hypervisor,
            coordinator,
            new Guests(hypervisor, coordinator::incoming),
            new Hooks(nbdSocket, coordinator, timeline),
            timeline,
            measured,
            relayClient::readiness);
    ControlServer server;
    try {
      server =
          ControlServer.start(
              config.paths().agentSocket(),
              SOCKET_MODE,
              service,
              new ReloadApi(
                  () -> {
                    RunningConfig.Outcome outcome = running.reload();
                    return new Reloaded(outcome.applied(), outcome.atRestart());
                  }));
    } catch (IOException | RuntimeException e) {
      relayClient.close();
      hypervisor.close();
      thread.close();
      throw e;
    }
    coordinator.start();
    Optional<MetricsServer> metrics =
        config
            .metrics()
            .agentListen()
            .map(address -> new InetSocketAddress(address.host(), address.port()))
            .flatMap(address -> MetricsServer.tryStart(address, service::metricsText));
    log.info("agent {} of node {} runs", version, node);
    return new AgentProcess(thread, hypervisor, relayClient, server, metrics);
  }

  /** Stops answering, then deciding, then disconnects. Guests and relay go on. Idempotent. */
  @Override
  public void close() {
    metrics.ifPresent(MetricsServer::close);
    server.close();
    thread.close();
    hypervisor.close();
    relay.close();
    closed.countDown();
    log.info("agent stopped");
  }
}
