// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay;

import io.netty.channel.EventLoopGroup;
import io.netty.channel.MultiThreadIoEventLoopGroup;
import io.netty.channel.epoll.EpollIoHandler;
import io.netty.util.ResourceLeakDetector;
import io.netty.util.concurrent.DefaultThreadFactory;
import io.vmferry.api.AgentClient;
import io.vmferry.api.ControlServer;
import io.vmferry.api.ReloadApi;
import io.vmferry.api.Reloaded;
import io.vmferry.api.Timeline;
import io.vmferry.api.metrics.MetricsServer;
import io.vmferry.api.service.ServiceManager;
import io.vmferry.api.service.Watchdog;
import io.vmferry.config.ByteRate;
import io.vmferry.config.Config;
import io.vmferry.config.HostPort;
import io.vmferry.config.PreCopyMode;
import io.vmferry.config.RunningConfig;
import io.vmferry.nbd.NbdServer;
import io.vmferry.relay.control.RelayApi;
import io.vmferry.relay.control.TakeoverWaits;
import io.vmferry.relay.copy.Compression;
import io.vmferry.relay.copy.RateLimit;
import io.vmferry.relay.disk.DiskStorage;
import io.vmferry.relay.disk.StateLock;
import io.vmferry.relay.exec.BriefPolling;
import io.vmferry.relay.exec.DiskTasks;
import io.vmferry.relay.exec.NettyLoop;
import io.vmferry.relay.exec.RequestCount;
import io.vmferry.relay.handover.AttachChecks;
import io.vmferry.relay.handover.Attacher;
import io.vmferry.relay.handover.CompletionNotices;
import io.vmferry.relay.handover.Departures;
import io.vmferry.relay.handover.Extension;
import io.vmferry.relay.handover.Forks;
import io.vmferry.relay.handover.LocalExports;
import io.vmferry.relay.handover.OpenTakeovers;
import io.vmferry.relay.handover.OwnerHandover;
import io.vmferry.relay.handover.PeerProbes;
import io.vmferry.relay.handover.PeerQuestions;
import io.vmferry.relay.handover.PeerRequests;
import io.vmferry.relay.handover.Peers;
import io.vmferry.relay.handover.Promotion;
import io.vmferry.relay.handover.StandbyHandover;
import io.vmferry.relay.handover.VolumesByName;
import io.vmferry.relay.map.BootId;
import io.vmferry.relay.peer.NettyPeerLink;
import io.vmferry.relay.peer.PeerServer;
import io.vmferry.relay.peer.PeerSetup;
import io.vmferry.relay.source.FetchedCreation;
import io.vmferry.relay.source.NbdSources;
import io.vmferry.relay.volume.Commits;
import io.vmferry.relay.volume.ProcessTable;
import io.vmferry.relay.volume.Volume;
import io.vmferry.relay.volume.VolumeEnvironment;
import io.vmferry.relay.volume.VolumeStorage;
import io.vmferry.relay.volume.Volumes;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermission;
import java.nio.file.attribute.PosixFilePermissions;
import java.security.SecureRandom;
import java.time.Clock;
import java.time.Duration;
import java.time.InstantSource;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Executor;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.BiFunction;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The relay: one data loop for NBD and all decisions, one loop for peers, a few disk threads.
 *
 * <p>Starts so that nothing is served before it is safe: volumes, then peers, then NBD.
 */
public final class RelayProcess implements AutoCloseable {
  private static final Logger log = LoggerFactory.getLogger(RelayProcess.class);

  /** Blocking file operations at a time; more than a disk's queue needs, few enough for memory. */
  private static final int DISK_THREADS = 16;

  /** Guests' requests in flight may end; QEMU's largest takes far less. */
  private static final Duration STOP_GRACE = Duration.ofSeconds(5);

  private static final Set<PosixFilePermission> OWNER_AND_GROUP =
      PosixFilePermissions.fromString("rw-rw----");

  private static final String LEAK_DETECTION = "io.netty.leakDetection.level";

  private final RequestCount requests = new RequestCount();
  private final EventLoopGroup dataLoops = dataLoop(requests);
  private final EventLoopGroup peerLoops = loops(1, "peer");
  private final ExecutorService disk =
      Executors.newFixedThreadPool(DISK_THREADS, new DefaultThreadFactory("disk", true));
  private final ExecutorService packing =
      Executors.newSingleThreadExecutor(new DefaultThreadFactory("compression", true));
  private final StateLock stateLock;
  private final NettyLoop loop = new NettyLoop(dataLoops.next());
  private final Volumes volumes;
  private final AgentClient agent;
  private final ConfiguredPeers configuredPeers;
  private final PeerServer peerServer;
  private final NbdServer nbdServer;
  private final ControlServer controlServer;
  private final Optional<MetricsServer> metricsServer;
  private final CountDownLatch closed = new CountDownLatch(1);

  /** Keys of the configuration that a running relay does not look at again. */
  private static final Set<String> READ_AT_START =
      Set.of(
          "node",
          "listen",
          "paths.run",
          "paths.state",
          "paths.nbd-socket-group",
          "copy.connections",
          "metrics.relay-listen");

  /** Starts serving; the error says what is in the way. */
  private RelayProcess(RunningConfig running, String version) throws IOException {
    Config config = running.atStart();
    ProcessTable processes = ProcessTable.ofHost();
    requireView(processes);
    stateLock = StateLock.take(config.paths().state());
    Path run = Files.createDirectories(config.paths().run());
    RateLimit limit =
        new RateLimit(
            config.copy().rateLimit().map(ByteRate::bytesPerSecond).orElse(null), loop.nanoTime());
    PeerSetup peerSetup =
        new PeerSetup(
            config.node(),
            "vmferry " + version,
            LiveParts.load(config),
            peerLoops,
            disk,
            System::nanoTime,
            new SecureRandom());
    BiFunction<String, HostPort, NettyPeerLink> connector =
        (node, address) -> link(peerSetup, node, address, config);
    Map<String, NettyPeerLink> links = new HashMap<>();
    config.peers().forEach((node, address) -> links.put(node, connector.apply(node, address)));
    Peers peers = new Peers(config.node(), loop, limit, links.values());

    AtomicReference<PreCopyMode> preCopy = new AtomicReference<>(config.copy().preCopy());
    DiskTasks tasks = new DiskTasks(disk, loop);
    VolumeStorage storage =
        new DiskStorage(config.paths().state(), run, BootId.current(), loop, disk);
    Timeline timeline = new Timeline(config.node(), Clock.systemUTC());
    TakeoverWaits takeoverWaits = new TakeoverWaits(loop);
    Wiring wiring = new Wiring(timeline, loop, takeoverWaits);
    NbdSources sources = new NbdSources(loop, limit, peerLoops, disk, peerSetup.random());
    volumes =
        new Volumes(
            config.node(),
            new VolumeEnvironment(
                loop,
                requests,
                tasks,
                storage,
                new Commits(tasks),
                processes,
                InstantSource.system(),
                peers::link,
                peers::lane,
                sources,
                preCopy::get,
                wiring));
    Forks forks = new Forks(volumes, peers);
    OpenTakeovers open = new OpenTakeovers(volumes, peers);
    Attacher attacher = new Attacher(volumes, peers, forks, open);
    StandbyHandover standbyHandover = new StandbyHandover(volumes, peers, attacher, open);
    CompletionNotices notices = new CompletionNotices(volumes, peers);
    wiring.connect(standbyHandover, notices);

    List<VolumeStorage.Found> found = storage.load();
    onLoop(
        () -> {
          volumes.start(found);
          notices.start();
          open.start();
          forks.start();
          peers.each(
              link ->
                  link.onUp(
                      loop,
                      () -> {
                        volumes.all().forEach(volume -> volume.linkUp(link.node()));
                        notices.linkUp(link.node());
                      }));
        });

    agent = new AgentClient(config.paths().agentSocket());
    AttachChecks checks =
        new AttachChecks(
            volumes,
            peers,
            attacher,
            new AgentProblem(agent::status)::ask,
            config.paths().nbdSocket().toString());
    PeerProbes probes =
        new PeerProbes(peers, loop, InstantSource.system(), () -> peerSetup.tls().validUntil());
    OwnerHandover ownerHandover = new OwnerHandover(volumes, agent::guest);
    Departures departures = new Departures(volumes, peers, open);
    Extension extension = new Extension(volumes, peers, ownerHandover);
    peerServer =
        new PeerServer(
            peerSetup,
            peers::knows,
            new PeerQuestions(
                loop,
                peers,
                checks,
                probes,
                new PeerRequests(
                    volumes,
                    peers,
                    ownerHandover,
                    standbyHandover,
                    departures,
                    extension,
                    new Compression(packing))));
    listen(config.listen());
    links.values().forEach(NettyPeerLink::start);
    configuredPeers =
        new ConfiguredPeers(
            config.peers(), links, connector, peers, loop, peerServer::closeStrangers);
    running.readAtStart(READ_AT_START);
    running.add(configuredPeers);
    running.add(LiveParts.certificates(peerSetup.tls()));
    running.add(LiveParts.rateLimit(config, limit, loop));
    running.add(LiveParts.preCopy(preCopy));
    nbdServer =
        NbdServer.start(
            dataLoops,
            new LocalExports(volumes, peers, attacher),
            config.paths().nbdSocket(),
            OWNER_AND_GROUP);
    giveToGroup(config);
    RelayApi api =
        new RelayApi(
            version,
            loop,
            volumes,
            peers,
            attacher,
            checks,
            probes,
            standbyHandover,
            departures,
            new VolumesByName(volumes, peers, departures, extension),
            new Promotion(volumes, peers),
            limit,
            timeline,
            takeoverWaits,
            new FetchedCreation(volumes, sources)::create);
    controlServer =
        ControlServer.start(
            config.paths().relaySocket(),
            OWNER_AND_GROUP,
            api,
            new ReloadApi(
                () -> {
                  RunningConfig.Outcome outcome = running.reload();
                  return new Reloaded(outcome.applied(), outcome.atRestart());
                }));
    metricsServer =
        config
            .metrics()
            .relayListen()
            .map(address -> new InetSocketAddress(address.host(), address.port()))
            .flatMap(address -> MetricsServer.tryStart(address, api::metricsText));
    log.info("relay of node {} serves {} volumes", config.node(), found.size());
  }

  /**
   * Runs the relay until the process gets SIGTERM or SIGINT.
   *
   * @param version of the program, shown in the status
   * @param manager is told when guests can be served, and that the data loop is alive
   * @throws IOException if it can't start; the message says what is in the way
   */
  public static void run(RunningConfig running, String version, ServiceManager manager)
      throws IOException, InterruptedException {
    if (System.getProperty(LEAK_DETECTION) == null) {
      // The tests look for leaks, at the paranoid level; here it would only cost.
      ResourceLeakDetector.setLevel(ResourceLeakDetector.Level.DISABLED);
    }
    RelayProcess relay = new RelayProcess(running, version);
    Thread shutdown =
        new Thread(
            () -> {
              manager.stopping();
              relay.close();
            },
            "shutdown");
    Runtime.getRuntime().addShutdownHook(shutdown);
    Watchdog.start(manager, (delay, task) -> relay.loop.after(delay, task));
    manager.ready("serves volumes on " + running.atStart().paths().nbdSocket());
    relay.closed.await();
  }

  @Override
  public void close() {
    log.info("the relay is stopping");
    metricsServer.ifPresent(MetricsServer::close);
    controlServer.close();
    await(nbdServer.stop(STOP_GRACE).toCompletableFuture());
    peerServer.close().syncUninterruptibly();
    configuredPeers.close();
    await(stopVolumes());
    agent.close();
    dataLoops.shutdownGracefully(0, 1, TimeUnit.SECONDS).syncUninterruptibly();
    peerLoops.shutdownGracefully(0, 1, TimeUnit.SECONDS).syncUninterruptibly();
    disk.shutdown();
    packing.shutdown();
    stateLock.close();
    closed.countDown();
    log.info("the relay has stopped");
  }

  /**
   * A process that can't be seen would count as ended, and its guest's volume could be given away
   * while it runs. PID 1 is always there and never ours.
   */
  private static void requireView(ProcessTable processes) throws IOException {
    if (processes.find(1).isEmpty()) {
      throw new IOException(
          "can't see other users' processes in /proc, so can't know whether a guest has ended:"
              + " mount /proc without hidepid, or with gid= a group of the relay's user");
    }
  }

  private CompletableFuture<Void> stopVolumes() {
    return CompletableFuture.completedFuture(null).thenComposeAsync(now -> volumes.stop(), loop);
  }

  private static NettyPeerLink link(PeerSetup setup, String node, HostPort address, Config config) {
    return new NettyPeerLink(setup, node, address, config.copy().connections());
  }

  private void listen(HostPort address) throws IOException {
    try {
      peerServer.listen(new InetSocketAddress(address.host(), address.port())).join();
    } catch (CompletionException e) {
      throw new IOException(e.getCause().getMessage(), e.getCause());
    }
  }

  private static void giveToGroup(Config config) throws IOException {
    if (config.paths().nbdSocketGroup().isPresent()) {
      SocketGroup.give(config.paths().nbdSocket(), config.paths().nbdSocketGroup().get());
    }
  }

  private static EventLoopGroup loops(int threads, String name) {
    return new MultiThreadIoEventLoopGroup(
        threads, new DefaultThreadFactory(name), EpollIoHandler.newFactory());
  }

  /** The one loop that guests wait for. */
  private static EventLoopGroup dataLoop(RequestCount requests) {
    int anyNumberOfEvents = 0;
    return new MultiThreadIoEventLoopGroup(
        1,
        new DefaultThreadFactory("data"),
        EpollIoHandler.newFactory(
            anyNumberOfEvents, () -> new BriefPolling(System::nanoTime, requests)));
  }

  private void onLoop(Runnable task) {
    CompletableFuture.runAsync(task, loop).join();
  }

  private static void await(CompletableFuture<?> done) {
    try {
      done.get(2 * STOP_GRACE.toSeconds(), TimeUnit.SECONDS);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    } catch (ExecutionException | TimeoutException e) {
      log.error("the relay does not stop cleanly: {}", String.valueOf(e.getCause()));
    }
  }

  /** What volumes tell, to those who act on it. */
  private static final class Wiring implements Volume.Events {
    private final Timeline timeline;
    private final Executor loop;
    private final TakeoverWaits takeoverWaits;
    private StandbyHandover handover;
    private CompletionNotices notices;

    Wiring(Timeline timeline, Executor loop, TakeoverWaits takeoverWaits) {
      this.timeline = timeline;
      this.loop = loop;
      this.takeoverWaits = takeoverWaits;
    }

    void connect(StandbyHandover newHandover, CompletionNotices newNotices) {
      handover = newHandover;
      notices = newNotices;
    }

    @Override
    public void takeoverWanted(Volume volume) {
      takeoverWaits.wanted(volume.record().uuid());
      handover.wanted(volume);
    }

    @Override
    public void complete(Volume volume) {
      timeline.add(volume.record().name(), "complete", "every block is here, durably");
      notices.tell(volume);
    }

    @Override
    public void clientsChanged(Volume volume) {
      timeline.add(volume.record().name(), "clients", volume.clients() + " local NBD clients");
    }

    @Override
    public void changed(Volume volume, String what) {
      timeline.add(volume.record().name(), "state", what);
      // Told before the volume has become it; the parked requests go then, too.
      loop.execute(() -> takeoverWaits.changed(volume.record().uuid(), volume.isOwner()));
    }
  }
}
