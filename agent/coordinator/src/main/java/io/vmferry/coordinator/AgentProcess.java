// SPDX-License-Identifier: Apache-2.0
package io.vmferry.coordinator;

import io.vmferry.api.ControlServer;
import io.vmferry.api.RelayClient;
import io.vmferry.api.Timeline;
import io.vmferry.api.service.ServiceManager;
import io.vmferry.api.service.Watchdog;
import io.vmferry.config.Config;
import io.vmferry.coordinator.libvirt.LibvirtHypervisor;
import io.vmferry.coordinator.migration.AgentThread;
import io.vmferry.coordinator.migration.Coordinator;
import io.vmferry.coordinator.migration.Guests;
import io.vmferry.coordinator.migration.Hooks;
import io.vmferry.coordinator.migration.Relay;
import java.io.IOException;
import java.nio.file.attribute.PosixFilePermission;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Clock;
import java.time.InstantSource;
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

  private final AgentThread thread;
  private final LibvirtHypervisor hypervisor;
  private final RelayClient relay;
  private final ControlServer server;
  private final CountDownLatch closed = new CountDownLatch(1);

  private AgentProcess(
      AgentThread thread, LibvirtHypervisor hypervisor, RelayClient relay, ControlServer server) {
    this.thread = thread;
    this.hypervisor = hypervisor;
    this.relay = relay;
    this.server = server;
  }

  /**
   * Runs the agent until the process gets SIGTERM or SIGINT.
   *
   * @param version of the program, shown in the status
   * @param manager is told when hooks are answered, and that the deciding thread is alive
   * @throws IOException if agent.sock can't be bound
   */
  public static void run(Config config, String version, ServiceManager manager)
      throws IOException, InterruptedException {
    AgentProcess agent = start(config, version);
    Thread shutdown =
        new Thread(
            () -> {
              manager.stopping();
              agent.close();
            },
            "shutdown");
    Runtime.getRuntime().addShutdownHook(shutdown);
    Watchdog.start(manager, agent.thread::schedule);
    manager.ready("answers hooks on " + config.paths().agentSocket());
    agent.closed.await();
  }

  /**
   * Starts the agent. Neither libvirtd nor the relay need be there yet.
   *
   * @param version of the program, shown in the status
   * @throws IOException if agent.sock can't be bound
   */
  public static AgentProcess start(Config config, String version) throws IOException {
    String node = config.node();
    String nbdSocket = config.paths().nbdSocket().toString();
    Timeline timeline = new Timeline(node, Clock.systemUTC());
    AgentThread thread = new AgentThread();
    LibvirtHypervisor hypervisor = new LibvirtHypervisor(config.libvirtUri(), nbdSocket);
    RelayClient relayClient = new RelayClient(config.paths().relaySocket());
    Relay relay = new RelayOverClient(relayClient);
    Coordinator coordinator =
        new Coordinator(
            node,
            thread,
            hypervisor,
            relay,
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
            relay,
            coordinator,
            new Guests(hypervisor, coordinator::incoming),
            new Hooks(nbdSocket, coordinator, timeline),
            timeline);
    ControlServer server;
    try {
      server = ControlServer.start(config.paths().agentSocket(), SOCKET_MODE, service);
    } catch (IOException | RuntimeException e) {
      relayClient.close();
      hypervisor.close();
      thread.close();
      throw e;
    }
    coordinator.start();
    log.info("agent {} of node {} runs", version, node);
    return new AgentProcess(thread, hypervisor, relayClient, server);
  }

  /** Stops answering, then deciding, then disconnects. Guests and relay go on. Idempotent. */
  @Override
  public void close() {
    server.close();
    thread.close();
    hypervisor.close();
    relay.close();
    closed.countDown();
    log.info("agent stopped");
  }
}
