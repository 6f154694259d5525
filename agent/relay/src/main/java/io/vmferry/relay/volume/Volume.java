// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.volume;

import io.netty.buffer.ByteBuf;
import io.vmferry.api.VolumeState;
import io.vmferry.api.VolumeStatus;
import io.vmferry.api.metrics.RelayMeasurements;
import io.vmferry.config.PreCopyMode;
import io.vmferry.nbd.ExportInfo;
import io.vmferry.nbd.NbdClient;
import io.vmferry.nbd.NbdError;
import io.vmferry.nbd.NbdExport;
import io.vmferry.nbd.NbdExportException;
import io.vmferry.nbd.NbdSession;
import io.vmferry.relay.copy.BlockSource;
import io.vmferry.relay.copy.BulkLane;
import io.vmferry.relay.copy.Origin;
import io.vmferry.relay.exec.DiskTasks;
import io.vmferry.relay.exec.Loop;
import io.vmferry.relay.map.BlockGrid;
import io.vmferry.relay.map.BlockMap;
import io.vmferry.relay.map.HeatMap;
import io.vmferry.relay.peer.PeerLink;
import io.vmferry.relay.store.BlockFile;
import io.vmferry.relay.store.HeldJournal;
import java.io.IOException;
import java.time.Duration;
import java.time.InstantSource;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.List;
import java.util.Queue;
import java.util.function.Consumer;
import java.util.function.Function;
import java.util.function.Supplier;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * One replica: the gate that every guest request passes, and the state that decides its way.
 *
 * <p>Requests that can't be carried out in the present state or during a handover are parked, never
 * failed and never answered from what may be stale; each change of state looks at them again.
 * Changes of state are made by the handover, which makes the new record durable first. Loop only.
 */
public final class Volume implements NbdExport {
  private static final Logger log = LoggerFactory.getLogger(Volume.class);

  /**
   * How long a fetched block may stay without durable bit; bounds what is fetched again after a
   * power loss.
   */
  private static final Duration BACKGROUND_FORCE = Duration.ofSeconds(2);

  /** What a volume tells the rest of the relay. */
  public interface Events {
    /**
     * A guest wants to write to a standby: phase 5; or uses a replica that was released: roll-back.
     * Told for each such request.
     */
    void takeoverWanted(Volume volume);

    /** The replica holds every block, durably. */
    void complete(Volume volume);

    /** A local NBD client came or went. */
    void clientsChanged(Volume volume);

    /** State or epoch changed, durably; {@code what} says from what to what. */
    void changed(Volume volume, String what);
  }

  /**
   * What all volumes of a relay share.
   *
   * @param wallClock for times that are noted and shown; nothing is decided by it here
   * @param preCopyMode what a new standby copies unless its migration says otherwise
   */
  public record Shared(
      Loop loop,
      DiskTasks tasks,
      VolumeStorage storage,
      Commits commits,
      ProcessTable processes,
      InstantSource wallClock,
      Function<String, PeerLink> links,
      Function<String, BulkLane> lanes,
      Sources sources,
      Supplier<PreCopyMode> preCopyMode,
      Events events) {}

  /** A request of a healthy disk takes milliseconds; a busy one may take a second. */
  private static final Duration SLOW_DISK = Duration.ofSeconds(3);

  private final Shared shared;
  private final OpenRequests openRequests;
  private final RequestStats requestStats;
  private final ContentTag content = new ContentTag();
  private final BlockFile file;
  private final LocalClients clients;
  private final Replicas replicas = new Replicas();
  private final InFlight inFlight = new InFlight();
  private final InFlight peerReads = new InFlight();
  private final Queue<GuestRequest> parkedRequests = new ArrayDeque<>();
  private final List<Runnable> deferred = new ArrayList<>();
  private final Completion completion;

  private VolumeRecord record;
  private BlockGrid grid;
  private HeatMap heat;
  private HeldBlocks held;
  private Durability durability;
  private FetchedVolume fetched;

  /** The NBD server that missing blocks come from; null if none, or if none are missing. */
  private Sources.Source source;

  private PassThrough passThrough;
  private PreCopy preCopy;
  private PreCopyMode preCopyMode;
  private LocalIo localIo;
  private FetchCounters counters;
  private long arrangements;
  private boolean parked;
  private Loop.Timer forceTimer;
  private String lastOrigin;
  private String trouble;
  private String failure;

  Volume(Shared shared, VolumeStorage.Replica replica) {
    this.shared = shared;
    this.openRequests = new OpenRequests(shared.loop());
    this.requestStats = new RequestStats(shared.loop());
    this.record = replica.record();
    this.grid = new BlockGrid(record.size());
    this.file = replica.file();
    this.heat = new HeatMap(record.size());
    this.completion = new Completion(shared, new CompletionHost());
    this.preCopyMode = shared.preCopyMode().get();
    String name = record.name();
    this.clients =
        new LocalClients(
            shared.processes(),
            replica.clients(),
            who -> shared.storage().rememberClients(name, who));
    replica.stale().forEach(replicas::put);
    switch (record.held()) {
      case ALL -> use(HeldBlocks.all(grid), null);
      case NONE -> use(HeldBlocks.none(grid), null);
      case JOURNAL ->
          use(HeldBlocks.tracked(grid, replica.live(), replica.durable()), replica.journal());
    }
    arrange();
  }

  // ---- NBD

  @Override
  public ExportInfo info() {
    return new ExportInfo(record.name(), record.size(), false, true, true);
  }

  @Override
  public NbdSession open(NbdClient client) throws NbdExportException {
    if (failure != null) {
      throw new NbdExportException(NbdExportException.Reason.POLICY, failure);
    }
    VolumeSession session = new VolumeSession(this, clients.connected(client));
    shared.events().clientsChanged(this);
    return session;
  }

  OpenRequests openRequests() {
    return openRequests;
  }

  RequestStats requestStats() {
    return requestStats;
  }

  /** What its guests asked for since this process began. */
  public List<RelayMeasurements.Requests> requestsMeasured() {
    return requestStats.measured(record.name());
  }

  void closed(LocalClients.Client client, boolean orderly) {
    clients.closed(client, orderly);
    parkedRequests.removeIf(
        request -> {
          boolean dead = !request.alive();
          if (dead) {
            request.drop();
          }
          return dead;
        });
    shared.events().clientsChanged(this);
  }

  /** The gate. */
  void submit(GuestRequest request) {
    if (!request.alive()) {
      request.drop();
    } else if (failure != null) {
      request.fail(NbdError.EIO, failure);
    } else if (!parked && (isOwner() || isReadOfFork(request))) {
      localIo.execute(request);
    } else if (request.fast) {
      request.fail(NbdError.ENOTSUP, "a handover is under way");
    } else if (request.kind == GuestRequest.Kind.FLUSH) {
      flushWithoutGuestIo(request);
    } else if (record.state() == VolumeState.STANDBY && !request.changesContent()) {
      readAtStandby(request);
    } else {
      parkedRequests.add(request);
      if (!isOwner() && !isForked()) {
        shared.events().takeoverWanted(this);
      }
    }
  }

  /** A fork is kept for export. */
  private boolean isReadOfFork(GuestRequest request) {
    return isForked() && !request.changesContent() && request.kind != GuestRequest.Kind.FLUSH;
  }

  /**
   * QEMU flushes when it stops, after the other side has resumed: nothing of its own is unwritten.
   */
  private void flushWithoutGuestIo(GuestRequest request) {
    if (isOwner()) {
      localIo.execute(request);
    } else {
      request.succeed();
    }
  }

  private void readAtStandby(GuestRequest request) {
    if (request.kind == GuestRequest.Kind.STATUS) {
      // What the owner has allocated is unknown here: never claim a hole.
      request.statusReply().extent(request.length, false, false);
      request.succeed();
    } else {
      passThrough.read(request);
    }
  }

  // ---- handover

  public VolumeRecord record() {
    return record;
  }

  public BlockGrid grid() {
    return grid;
  }

  /** Whether it is the one replica that takes guest writes. */
  public boolean isOwner() {
    return record.state() == VolumeState.SERVING || record.state() == VolumeState.FETCHING;
  }

  /** Whether another node owns the volume too. */
  public boolean isForked() {
    return record.state() == VolumeState.FORKED;
  }

  /** What a fork is and how to end it, for whoever meets it. */
  public String forkSentence() {
    return record.forkSentence();
  }

  /** Why the volume is stopped; null if it isn't. */
  public String failure() {
    return failure;
  }

  /** Local NBD clients, connected or likely to come back. */
  public int clients() {
    return clients.count();
  }

  public String describeClients() {
    return clients.describe();
  }

  /**
   * Names the content as long as this replica is the owner's: differs whenever something may have
   * been written.
   */
  public String contentTag() {
    return content.name(record.epoch());
  }

  /** Whether a guest here waits for something to change. */
  public boolean hasParkedRequests() {
    return !parkedRequests.isEmpty();
  }

  /** What the guest used last here. */
  public HeatMap heat() {
    return heat;
  }

  /** The blocks this replica holds; a copy. */
  public BlockMap heldSnapshot() {
    return held.snapshot();
  }

  /** Stale map for the replica at {@code node}, null if none is kept. */
  public BlockMap staleFor(String node) {
    return replicas.stale(node);
  }

  public void forgetReplica(String node) {
    replicas.remove(node);
  }

  /**
   * What this standby copies before the handover. Of one that has a retained copy only what was
   * written since is missing, and nothing is copied.
   */
  public void preCopy(PreCopyMode mode) {
    if (mode != preCopyMode) {
      preCopyMode = mode;
      stopPreCopy();
      beginPreCopy();
    }
  }

  /** The session in which this standby copies, as the owner knows it; 0 for none. */
  public long preCopySession() {
    return preCopy == null ? 0 : preCopy.session();
  }

  /**
   * The standby at {@code node} begins to copy; its stale map is {@link #staleFor}.
   *
   * @param continues its session before, 0 for none
   * @return the session
   */
  public long beginPreCopyFor(String node, long continues) {
    return replicas.beginPreCopy(node, continues, grid.blocks());
  }

  /** Whether the standby at {@code node} copies in that session. */
  public boolean isPreCopying(String node, long session) {
    return isOwner() && replicas.isPreCopying(node, session);
  }

  /**
   * The range is about to be read for a standby that {@link #isPreCopying copies}: its whole blocks
   * aren't stale there any more, unless they change.
   */
  public void sendInPreCopy(String node, long offset, long length) {
    replicas.send(node, grid.firstCovered(offset), grid.endCovered(offset + length), inFlight);
  }

  /**
   * Stops all data I/O, own fetching included, and makes durable what was acknowledged: the content
   * doesn't change any more until {@link #resume} or {@link #become}. Requests that come are
   * parked.
   */
  public void quiesce(Consumer<IOException> done) {
    parked = true;
    stopFetching();
    inFlight.whenIdle(() -> durability.force(done));
  }

  /**
   * Another number each time the volume goes on, or becomes something else. As long as it is that
   * of {@link #quiesce}, the volume has rested since.
   */
  public long arrangement() {
    return arrangements;
  }

  /** The handover didn't happen: goes on as before. */
  public void resume() {
    arrange();
  }

  /** The record has changed, durably; what the replica holds hasn't. */
  public void become(VolumeRecord newRecord) {
    logTransition(newRecord);
    record = newRecord;
    arrange();
  }

  /**
   * This replica took over, durably. It must be {@link #quiesce quiesced}.
   *
   * @param live the blocks it holds, as the journal has them
   * @param origin the previous owner, whose replica has everything from now on in {@code
   *     originStale}
   */
  public void takeOver(
      VolumeRecord newRecord,
      HeldJournal journal,
      BlockMap live,
      String origin,
      BlockMap originStale) {
    if (!parked) {
      throw new IllegalStateException(
          "volume " + record.name() + " was taken over while its maps are in use");
    }
    logTransition(newRecord);
    record = newRecord;
    held.close();
    use(HeldBlocks.tracked(grid, live, live), journal);
    replicas.clear();
    replicas.put(origin, originStale);
    counters = new FetchCounters(shared.loop());
    lastOrigin = origin;
    arrange();
  }

  /**
   * It is larger, durably. It must be complete, owned here and {@link #quiesce quiesced}. Clients
   * that are connected go on with the size that they were told.
   */
  public void grow(VolumeRecord newRecord) {
    if (!parked || record.held() != VolumeRecord.Held.ALL) {
      throw new IllegalStateException("volume " + record.name() + " grows while it is in use");
    }
    log.info("volume {}: {} bytes -> {} bytes", record.name(), record.size(), newRecord.size());
    record = newRecord;
    grid = new BlockGrid(newRecord.size());
    heat = new HeatMap(newRecord.size());
    file.grown(newRecord.size());
    held.close();
    use(HeldBlocks.all(grid), null);
    replicas.clear();
    arrange();
  }

  /** Only facts beside the state changed: replicas, domain, complete at. */
  public void note(VolumeRecord newRecord) {
    record = newRecord;
  }

  /** What was last set with {@link #setTrouble}. */
  public String trouble() {
    return trouble;
  }

  /** What a takeover waits for, for people; null if nothing. */
  public void setTrouble(String newTrouble) {
    trouble = newTrouble;
  }

  /**
   * Stops everything and closes the files; then {@code then}. The volume can't be used any more.
   */
  public void close(String why, Runnable then) {
    failure = why;
    stopFetching();
    closeSource();
    if (passThrough != null) {
      passThrough.stop().forEach(this::submit);
      passThrough = null;
    }
    runAgain();
    inFlight.whenIdle(
        () ->
            peerReads.whenIdle(
                () -> {
                  replicas.clear();
                  held.close();
                  file.close();
                  then.run();
                }));
  }

  /** The file or its journal failed: nothing that was written since is known to be safe. */
  void broken(IOException error) {
    if (failure == null) {
      failure =
          "volume "
              + record.name()
              + " is stopped: "
              + error.getMessage()
              + "; check the disk, then restart the relay";
      VolumeLog.about(log.atError(), record).log("{}", failure);
      stopFetching();
      runAgain();
    }
  }

  // ---- peers

  /** Answer to a peer's read. */
  public interface PeerRead {
    /** The range's content; released by the callee. Null on error. */
    void done(ByteBuf data, String error);
  }

  /** Reads for a peer; missing blocks are fetched first. Whether the peer may is checked before. */
  public void readForPeer(long offset, int length, ByteBuf buffer, PeerRead done) {
    long from = BlockGrid.blockAt(offset);
    long to = BlockGrid.blockAfter(offset + length);
    if (failure != null) {
      buffer.release();
      done.done(null, failure);
    } else if (record.held() != VolumeRecord.Held.NONE && held.has(from, to)) {
      peerReads.begin();
      file.read(
          offset,
          buffer,
          length,
          error -> {
            peerReads.end();
            if (error == null) {
              done.done(buffer, null);
            } else {
              buffer.release();
              done.done(null, error.getMessage());
            }
          });
    } else if (fetched != null) {
      fetched.read(new PeerMiss(this, offset, length, buffer, done));
    } else if (parked) {
      deferred.add(() -> readForPeer(offset, length, buffer, done));
    } else {
      buffer.release();
      done.done(null, "this replica of volume " + record.name() + " does not hold the block");
    }
  }

  /** Extents of the data file for a peer that asks for holes; null while blocks are missing. */
  public BlockFile fileForHoles() {
    return held.isComplete() && failure == null ? file : null;
  }

  /** The control connection to a peer is up again. */
  public void linkUp(String node) {
    if (fetched != null && record.origin() != null && record.origin().node().equals(node)) {
      fetched.linkUp();
    }
    if (passThrough != null && record.epoch().owner().equals(node)) {
      passThrough.linkUp();
    }
    if (preCopy != null && preCopy.epoch().owner().equals(node)) {
      preCopy.linkUp();
    }
  }

  // ---- inside

  private void use(HeldBlocks newHeld, HeldJournal journal) {
    held = newHeld;
    durability = new Durability(file, newHeld, journal, shared.tasks());
  }

  /** Builds what the present state works with, then looks at everything that waited. */
  private void arrange() {
    arrangements++;
    parked = false;
    localIo = null;
    if (counters == null) {
      counters = new FetchCounters(shared.loop());
    }
    if (passThrough != null) {
      parkedRequests.addAll(passThrough.stop());
      passThrough = null;
    }
    if (fetched == null
        && !held.isComplete()
        && (record.origin() != null || record.source() != null)) {
      fetched = fetching();
    }
    if (isOwner() || isForked()) {
      localIo =
          new LocalIo(
              grid,
              file,
              held,
              fetched,
              replicas,
              heat,
              content,
              inFlight,
              durability,
              counters,
              new LocalHost());
    } else if (record.state() == VolumeState.STANDBY) {
      PeerLink owner = shared.links().apply(record.epoch().owner());
      passThrough =
          new PassThrough(new Origin(owner, record.uuid(), null, shared.loop()), shared.loop());
    }
    if (preCopy != null && !preCopy.epoch().equals(record.epoch())) {
      stopPreCopy();
    }
    beginPreCopy();
    runAgain();
    if (fetched != null) {
      forceLater();
      fetched.linkUp();
    }
    // The last block may have come while requests were parked, or in an earlier process.
    completeIfFull();
  }

  private FetchedVolume fetching() {
    VolumeRecord.Origin from = record.origin();
    if (from == null) {
      if (source == null) {
        source = shared.sources().open(record, this::sourceUp);
      }
      return fetching(source.blocks(), source.lane());
    }
    Origin origin =
        new Origin(shared.links().apply(from.node()), record.uuid(), from.epoch(), shared.loop());
    return fetching(origin, shared.lanes().apply(from.node()));
  }

  private void sourceUp() {
    if (fetched != null) {
      fetched.linkUp();
    }
  }

  private void closeSource() {
    if (source != null) {
      source.close();
      source = null;
    }
  }

  private FetchedVolume fetching(BlockSource blocks, BulkLane lane) {
    return new FetchedVolume(
        grid, file, held, inFlight, blocks, lane, counters, shared.loop(), new FetchHost());
  }

  private void beginPreCopy() {
    boolean empty = record.held() == VolumeRecord.Held.NONE;
    if (preCopy != null
        || preCopyMode == PreCopyMode.NONE
        || record.state() != VolumeState.STANDBY
        || !empty
        || parked
        || failure != null) {
      return;
    }
    String owner = record.epoch().owner();
    preCopy =
        new PreCopy(
            record,
            grid,
            held,
            inFlight,
            new Arrivals(grid, file, held, inFlight),
            new Origin(shared.links().apply(owner), record.uuid(), null, shared.loop()),
            shared.lanes().apply(owner),
            preCopyMode,
            shared.loop(),
            this::broken);
    preCopy.linkUp();
  }

  private void stopPreCopy() {
    if (preCopy != null) {
      preCopy.stop();
      preCopy = null;
    }
  }

  private void stopFetching() {
    stopPreCopy();
    if (fetched != null) {
      deferred.addAll(fetched.stop());
      fetched = null;
    }
    if (forceTimer != null) {
      forceTimer.cancel();
      forceTimer = null;
    }
  }

  private void runAgain() {
    List<Runnable> waiting = List.copyOf(deferred);
    deferred.clear();
    waiting.forEach(Runnable::run);
    for (int n = parkedRequests.size(); n > 0; n--) {
      submit(parkedRequests.remove());
    }
  }

  private void forceLater() {
    if (forceTimer == null) {
      forceTimer =
          shared
              .loop()
              .after(
                  BACKGROUND_FORCE,
                  () -> {
                    forceTimer = null;
                    durability.force(this::brokenIfFailed);
                    if (fetched != null) {
                      forceLater();
                    }
                  });
    }
  }

  /** No space is no damage: it is tried again. */
  private void brokenIfFailed(IOException error) {
    if (error != null && DiskTrouble.of(error) == DiskTrouble.BROKEN) {
      broken(error);
    }
  }

  private void completeIfFull() {
    // What a standby has copied is not up to date before its takeover, however much it is.
    if (record.held() == VolumeRecord.Held.JOURNAL) {
      completion.look();
    }
  }

  private void logTransition(VolumeRecord to) {
    if (to.state() != record.state() || !to.epoch().equals(record.epoch())) {
      String what = record.state() + " " + record.epoch() + " -> " + to.state() + " " + to.epoch();
      VolumeLog.about(log.atInfo(), to).log("volume {}: {}", to.name(), what);
      shared.events().changed(this, what);
    }
  }

  private final class LocalHost implements LocalIo.Host {
    @Override
    public void again(GuestRequest request) {
      submit(request);
    }

    @Override
    public void broken(IOException error) {
      Volume.this.broken(error);
    }

    @Override
    public void heldByGuest() {
      if (fetched != null) {
        fetched.heldByGuest();
      }
      completeIfFull();
    }
  }

  private final class CompletionHost implements Completion.Host {
    @Override
    public VolumeRecord record() {
      return record;
    }

    @Override
    public HeldBlocks held() {
      return held;
    }

    @Override
    public boolean stopped() {
      return parked || failure != null;
    }

    @Override
    public void force(Consumer<IOException> done) {
      durability.force(done);
    }

    @Override
    public void failed(IOException error) {
      brokenIfFailed(error);
    }

    @Override
    public void complete(VolumeRecord complete) {
      logTransition(complete);
      record = complete;
      deferred.addAll(fetched == null ? List.of() : fetched.stop());
      fetched = null;
      closeSource();
      held.becomeComplete();
    }

    @Override
    public void tell() {
      runAgain();
      shared.events().complete(Volume.this);
    }
  }

  private final class FetchHost implements FetchedVolume.Host {
    @Override
    public void held() {
      completeIfFull();
    }

    @Override
    public void broken(IOException error) {
      Volume.this.broken(error);
    }
  }

  // ---- status

  /** What the control API shows. */
  public VolumeStatus status() {
    return new VolumeStatus(
        record.name(),
        record.uuid(),
        record.size(),
        record.state(),
        record.epoch(),
        record.domain(),
        clients.count(),
        file.allocated(),
        held.bytes(),
        fetchStatus(),
        replicas.status(record.size()),
        record.completeAt(),
        record.completeSince(),
        waitingFor(),
        failure);
  }

  private VolumeStatus.FetchStatus fetchStatus() {
    if (record.origin() != null) {
      lastOrigin = record.origin().node();
    }
    int waiting = fetched == null ? 0 : fetched.waiting();
    if (record.source() != null) {
      boolean up = source != null && source.blocks().up();
      return counters.status(record.source().uri(), up, record.size() - held.bytes(), waiting);
    }
    if (lastOrigin == null) {
      return null;
    }
    return counters.status(
        lastOrigin, shared.links().apply(lastOrigin).up(), record.size() - held.bytes(), waiting);
  }

  private String waitingFor() {
    if (trouble != null) {
      return trouble;
    }
    if (isForked()) {
      return forkSentence();
    }
    String network = fetched != null && !held.isFull() ? fetched.waitingFor() : null;
    if (network != null) {
      return network;
    }
    String slow = isOwner() && !parked ? openRequests.olderThan(SLOW_DISK) : null;
    if (slow != null) {
      return slow
          + "; check the disk of this node"
          + (fetched == null ? "" : " and that of " + fetched.source());
    }
    if (record.state() == VolumeState.RELEASED && hasParkedRequests()) {
      return "the volume is owned by node " + record.epoch().owner() + "; I/O here is held";
    }
    return passThrough == null ? null : passThrough.waitingFor();
  }
}
