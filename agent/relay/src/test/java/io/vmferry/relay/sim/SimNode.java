// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.sim;

import io.vmferry.api.GuestStatus;
import io.vmferry.api.Timeline;
import io.vmferry.config.PreCopyMode;
import io.vmferry.relay.control.RelayApi;
import io.vmferry.relay.control.TakeoverWaits;
import io.vmferry.relay.copy.Compression;
import io.vmferry.relay.copy.RateLimit;
import io.vmferry.relay.exec.DiskTasks;
import io.vmferry.relay.exec.RequestCount;
import io.vmferry.relay.handover.AttachChecks;
import io.vmferry.relay.handover.Attacher;
import io.vmferry.relay.handover.ClientsAtPeers;
import io.vmferry.relay.handover.CompletionNotices;
import io.vmferry.relay.handover.Departures;
import io.vmferry.relay.handover.Extension;
import io.vmferry.relay.handover.Forks;
import io.vmferry.relay.handover.GuestProbe;
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
import io.vmferry.relay.peer.PeerService;
import io.vmferry.relay.volume.Commits;
import io.vmferry.relay.volume.LocalProcess;
import io.vmferry.relay.volume.NoSources;
import io.vmferry.relay.volume.ProcessTable;
import io.vmferry.relay.volume.Volume;
import io.vmferry.relay.volume.VolumeEnvironment;
import io.vmferry.relay.volume.Volumes;
import java.io.IOException;
import java.time.Clock;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.random.RandomGenerator;

/** One node: the real decision code of a relay on a simulated disk, wire and clock. */
public final class SimNode {
  /** Of every node. */
  public static final Instant CERTIFICATE_END = Instant.parse("2030-01-01T00:00:00Z");

  private static final int MAX_DISK_NANOS = 3_000_000;

  private final String name;
  private final VirtualTime time;
  private final RandomGenerator random;
  private final SimStorage storage;
  private final List<SimLink> links = new ArrayList<>();
  private VirtualTime.NodeLoop loop;
  private Volumes volumes;
  private PeerService service;
  private StandbyHandover handover;
  private AttachChecks attachChecks;
  private PeerProbes probes;
  private Duration wallClockAhead = Duration.ZERO;
  private String agentProblem;
  private String nbdSocket = "/run/vmferry/nbd.sock";
  private Attacher attacher;
  private LocalExports exports;
  private Departures departures;
  private VolumesByName byName;
  private ClientsAtPeers clientsAtPeers;
  private Promotion promotion;
  private RelayApi api;
  private Long copyCap;
  private RateLimit limit;
  private PreCopyMode preCopy = PreCopyMode.NONE;
  private GuestProbe probe =
      volume -> CompletableFuture.completedFuture(new GuestStatus(this.guest, null, "vm"));

  /** QEMU processes that have ended. */
  private final Set<Integer> ended = new HashSet<>();

  /** What the agent at this node says about the guest. */
  public GuestStatus.State guest = GuestStatus.State.NONE;

  public SimNode(String name, VirtualTime time, RandomGenerator random) {
    this.name = name;
    this.time = time;
    this.random = random;
    this.storage = new SimStorage(random);
  }

  public void add(SimLink link) {
    links.add(link);
  }

  public String name() {
    return name;
  }

  /** The disk and tmpfs of this node. */
  public SimStorage storage() {
    return storage;
  }

  public boolean isAlive() {
    return loop != null;
  }

  public VirtualTime.NodeLoop loop() {
    return loop;
  }

  public PeerService service() {
    return service;
  }

  public Volumes volumes() {
    return volumes;
  }

  public Volume volume(String volume) {
    return volumes.byName(volume);
  }

  public Attacher attacher() {
    return attacher;
  }

  public AttachChecks attachChecks() {
    return attachChecks;
  }

  public PeerProbes probes() {
    return probes;
  }

  /** Sets the wall clock wrong that probes tell. */
  public void wallClockAhead(Duration duration) {
    wallClockAhead = duration;
  }

  /** What this node's agent can't do, one sentence; null if it is well. */
  public void agentProblem(String problem) {
    agentProblem = problem;
  }

  /** From the next start on. */
  public void nbdSocket(String path) {
    nbdSocket = path;
  }

  public StandbyHandover handover() {
    return handover;
  }

  public Departures departures() {
    return departures;
  }

  public VolumesByName byName() {
    return byName;
  }

  public ClientsAtPeers clientsAtPeers() {
    return clientsAtPeers;
  }

  /** As if no link ever went down: this process is not told that one is up again. */
  public void dropLinkListeners() {
    links.forEach(SimLink::dropListeners);
  }

  public Promotion promotion() {
    return promotion;
  }

  public LocalExports exports() {
    return exports;
  }

  /** What the relay serves on its control socket. */
  public RelayApi api() {
    return api;
  }

  /** Caps the background copy, from now on; null for no cap. */
  public void capCopy(Long bytesPerSecond) {
    copyCap = bytesPerSecond;
    if (limit != null) {
      limit.set(bytesPerSecond);
    }
  }

  /** What new standbys here copy before the handover, from now on. */
  public void preCopy(PreCopyMode mode) {
    preCopy = mode;
  }

  /** Asks this instead of {@link #guest}, from the next start on. */
  public void askForGuests(GuestProbe newProbe) {
    probe = newProbe;
  }

  public void processEnded(int pid) {
    ended.add(pid);
  }

  public void start() throws IOException {
    VirtualTime.NodeLoop life = time.new NodeLoop();
    loop = life;
    storage.usedBy(life);
    // Disk threads take their time, but keep their order: the simulated disk is one thread.
    long[] freeAt = new long[1];
    DiskTasks tasks =
        new DiskTasks(
            task -> {
              freeAt[0] = Math.max(freeAt[0], time.nanoTime()) + random.nextInt(MAX_DISK_NANOS);
              life.schedule(freeAt[0] - time.nanoTime(), task);
            },
            life);
    limit = new RateLimit(copyCap, life.nanoTime());
    Peers peers = new Peers(name, life, limit, links);
    SimEvents events = new SimEvents();
    ProcessTable processes =
        pid -> ended.contains(pid) ? Optional.empty() : Optional.of(new LocalProcess(pid, 1));
    volumes =
        new Volumes(
            name,
            new VolumeEnvironment(
                life,
                new RequestCount(),
                tasks,
                storage,
                new Commits(tasks),
                processes,
                time::instant,
                peers::link,
                peers::lane,
                new NoSources(),
                () -> preCopy,
                events));
    Forks forks = new Forks(volumes, peers);
    OpenTakeovers open = new OpenTakeovers(volumes, peers);
    attacher = new Attacher(volumes, peers, forks, open);
    handover = new StandbyHandover(volumes, peers, attacher, open);
    CompletionNotices notices = new CompletionNotices(volumes, peers);
    events.connect(handover, notices);
    OwnerHandover owner = new OwnerHandover(volumes, probe);
    departures = new Departures(volumes, peers, open);
    Extension extension = new Extension(volumes, peers, owner);
    byName = new VolumesByName(volumes, peers, departures, extension);
    attachChecks =
        new AttachChecks(
            volumes,
            peers,
            attacher,
            () -> CompletableFuture.completedFuture(Optional.ofNullable(agentProblem)),
            nbdSocket);
    probes =
        new PeerProbes(
            peers, life, () -> time.instant().plus(wallClockAhead), () -> CERTIFICATE_END);
    service =
        new PeerQuestions(
            life,
            peers,
            attachChecks,
            probes,
            new PeerRequests(
                volumes, peers, owner, handover, departures, extension, new Compression(life)));
    clientsAtPeers = new ClientsAtPeers(peers, life);
    promotion = new Promotion(volumes, peers);
    exports = new LocalExports(volumes, peers, attacher);
    api =
        new RelayApi(
            "simulated",
            life,
            volumes,
            peers,
            attacher,
            attachChecks,
            probes,
            handover,
            departures,
            byName,
            promotion,
            limit,
            new Timeline(name, Clock.systemUTC()),
            new TakeoverWaits(life),
            request -> NoSources.none());
    volumes.start(storage.load());
    notices.start();
    open.start();
    forks.start();
    for (SimLink link : links) {
      link.onUp(
          life,
          () -> {
            volumes.all().forEach(volume -> volume.linkUp(link.node()));
            notices.linkUp(link.node());
          });
    }
  }

  /** As kill -9: what was running stops where it is; disk and tmpfs stay. */
  public void kill() {
    loop.kill();
    loop = null;
    links.forEach(SimLink::forget);
  }

  /** As {@link #kill}, with all that was only in memory. */
  public void losePower() {
    if (isAlive()) {
      kill();
    }
    storage.powerLoss();
  }

  private static final class SimEvents implements Volume.Events {
    private StandbyHandover handover;
    private CompletionNotices notices;

    void connect(StandbyHandover newHandover, CompletionNotices newNotices) {
      handover = newHandover;
      notices = newNotices;
    }

    @Override
    public void takeoverWanted(Volume volume) {
      handover.wanted(volume);
    }

    @Override
    public void complete(Volume volume) {
      notices.tell(volume);
    }

    @Override
    public void clientsChanged(Volume volume) {}

    @Override
    public void changed(Volume volume, String what) {}
  }
}
