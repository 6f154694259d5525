// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.volume;

import io.vmferry.api.VolumeState;
import io.vmferry.api.VolumeStatus;
import io.vmferry.api.metrics.RelayMeasurements;
import io.vmferry.nbd.ExportInfo;
import io.vmferry.nbd.NbdClient;
import io.vmferry.nbd.NbdError;
import io.vmferry.nbd.NbdExport;
import io.vmferry.nbd.NbdExportException;
import io.vmferry.nbd.NbdSession;
import io.vmferry.relay.map.BlockGrid;
import io.vmferry.relay.map.BlockMap;
import io.vmferry.relay.store.HeldJournal;
import java.io.IOException;
import java.util.List;
import java.util.function.Consumer;

/**
 * One replica: the gate that every guest request passes, and the state that decides its way.
 *
 * <p>Requests that can't be carried out in the present state or during a handover are parked, never
 * failed and never answered from what may be stale; each change of state looks at them again.
 * Changes of state are made by the handover, which makes the new record durable first. Loop only.
 */
public final class Volume implements NbdExport {
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

  private final VolumeEnvironment shared;
  private final LocalReplica replica;
  private final LocalClients clients;
  private final OpenRequests openRequests;
  private final RequestStats requestStats;
  private final ContentTag content = new ContentTag();
  private final Replicas replicas = new Replicas();
  private final ParkedWork parked = new ParkedWork();
  private final FetchMode fetchMode;
  private final StandbyPreCopy preCopy;
  private final PeerReads peerReads;
  private final VolumeReport report;

  /** A standby's way to the owner; null in all other states. */
  private PassThrough passThrough;

  /** An owner's or fork's way to the file; null in all other states. */
  private LocalIo localIo;

  Volume(VolumeEnvironment shared, VolumeStorage.Replica opened) {
    this.shared = shared;
    this.replica = new LocalReplica(opened, shared.tasks(), new ReplicaListener());
    this.openRequests = new OpenRequests(shared.loop());
    this.requestStats = new RequestStats(shared.loop());
    this.fetchMode = new FetchMode(shared, replica, parked, this::completed);
    this.preCopy = new StandbyPreCopy(shared, replica);
    this.peerReads = new PeerReads(replica, replicas, fetchMode, parked);
    String name = record().name();
    this.clients =
        new LocalClients(
            shared.processes(),
            opened.clients(),
            who -> shared.storage().rememberClients(name, who));
    this.report =
        new VolumeReport(
            replica,
            clients,
            replicas,
            fetchMode,
            parked,
            openRequests,
            () -> passThrough == null ? null : passThrough.waitingFor());
    opened.stale().forEach(replicas::put);
    arrange();
  }

  // ---- NBD

  @Override
  public ExportInfo info() {
    return new ExportInfo(record().name(), record().size(), false, true, true);
  }

  @Override
  public NbdSession open(NbdClient client) throws NbdExportException {
    if (failure() != null) {
      throw new NbdExportException(NbdExportException.Reason.POLICY, failure());
    }
    VolumeSession session = new VolumeSession(this, clients.connected(client));
    shared.events().clientsChanged(this);
    return session;
  }

  void closed(LocalClients.Client client, boolean orderly) {
    clients.closed(client, orderly);
    parked.dropDead();
    shared.events().clientsChanged(this);
  }

  /** A client's new request. */
  void begin(GuestRequest request) {
    shared.requests().add();
    openRequests.begin(request);
    submit(request);
  }

  OpenRequests openRequests() {
    return openRequests;
  }

  RequestStats requestStats() {
    return requestStats;
  }

  /** What its guests asked for since this process began. */
  public List<RelayMeasurements.Requests> requestsMeasured() {
    return requestStats.measured(record().name());
  }

  // ---- the gate

  /** Each request comes here, and again after each change of what it waits for. */
  void submit(GuestRequest request) {
    if (!request.alive()) {
      request.drop();
    } else if (failure() != null) {
      request.fail(NbdError.EIO, failure());
    } else if (!replica.isParked() && (isOwner() || isReadOfFork(request))) {
      localIo.execute(request);
    } else if (request.fast) {
      request.fail(NbdError.ENOTSUP, "a handover is under way");
    } else if (request.kind == GuestRequest.Kind.FLUSH) {
      flushWithoutGuestIo(request);
    } else if (record().state() == VolumeState.STANDBY && !request.changesContent()) {
      passThrough.execute(request);
    } else {
      parked.add(request);
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

  // ---- facts

  public VolumeRecord record() {
    return replica.record();
  }

  public BlockGrid grid() {
    return replica.grid();
  }

  /** Whether it is the one replica that takes guest writes. */
  public boolean isOwner() {
    return replica.isOwner();
  }

  /** Whether another node owns the volume too. */
  public boolean isForked() {
    return replica.isForked();
  }

  /** Why the volume is stopped; null if it isn't. */
  public String failure() {
    return replica.failure();
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
    return content.name(record().epoch());
  }

  /** Whether a guest here waits for something to change. */
  public boolean hasParkedRequests() {
    return parked.hasRequests();
  }

  /** The blocks this replica holds; a copy. */
  public BlockMap heldSnapshot() {
    return replica.held().snapshot();
  }

  // ---- rooms

  /** What other nodes lack of this volume; only an owner's counts. */
  public Replicas replicas() {
    return replicas;
  }

  /** What other nodes read of this replica. */
  public PeerReads peerReads() {
    return peerReads;
  }

  /** What this replica copies before the handover, if it is a standby. */
  public StandbyPreCopy preCopy() {
    return preCopy;
  }

  /** The control connection to a peer is up again. */
  public void linkUp(String node) {
    fetchMode.linkUp(node);
    if (passThrough != null && record().epoch().owner().equals(node)) {
      passThrough.linkUp();
    }
    preCopy.linkUp(node);
  }

  // ---- handover

  /**
   * Stops all data I/O, own fetching included, and makes durable what was acknowledged: the content
   * doesn't change any more until {@link #resume} or {@link #become}. Requests that come are
   * parked.
   */
  public void quiesce(Consumer<IOException> done) {
    replica.park();
    stopFetching();
    replica.inFlight().whenIdle(() -> replica.durability().force(done));
  }

  /**
   * Another number each time the volume goes on, or becomes something else. As long as it is that
   * of {@link #quiesce}, the volume has rested since.
   */
  public long arrangement() {
    return replica.unparked();
  }

  /** The handover didn't happen: goes on as before. */
  public void resume() {
    arrange();
  }

  /** The record has changed, durably; what the replica holds hasn't. */
  public void become(VolumeRecord newRecord) {
    replica.become(newRecord);
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
    replica.takeOver(newRecord, journal, live);
    replicas.clear();
    replicas.put(origin, originStale);
    fetchMode.takenOver();
    arrange();
  }

  /**
   * It is larger, durably. It must be complete, owned here and {@link #quiesce quiesced}. Clients
   * that are connected go on with the size that they were told.
   */
  public void grow(VolumeRecord newRecord) {
    replica.grow(newRecord);
    replicas.clear();
    arrange();
  }

  /** Only facts beside the state changed: replicas, domain, complete at. */
  public void note(VolumeRecord newRecord) {
    replica.note(newRecord);
  }

  /** What the control API shows. */
  public VolumeStatus status() {
    return report.status();
  }

  /** What was last set with {@link #setTrouble}. */
  public String trouble() {
    return report.trouble();
  }

  /** What a takeover waits for, for people; null if nothing. */
  public void setTrouble(String newTrouble) {
    report.setTrouble(newTrouble);
  }

  /**
   * Stops everything and closes the files; then {@code then}. The volume can't be used any more.
   */
  public void close(String why, Runnable then) {
    replica.stop(why);
    preCopy.stop();
    fetchMode.close();
    stopPassThrough();
    runAgain();
    replica
        .inFlight()
        .whenIdle(
            () ->
                peerReads.whenIdle(
                    () -> {
                      replicas.clear();
                      replica.close();
                      then.run();
                    }));
  }

  // ---- inside

  /** Builds what the present state works with, then looks at everything that waited. */
  private void arrange() {
    replica.unpark();
    stopPassThrough();
    fetchMode.prepare();
    localIo = isOwner() || isForked() ? localIo() : null;
    if (record().state() == VolumeState.STANDBY) {
      passThrough =
          new PassThrough(
              shared.origin(record().epoch().owner(), record().uuid(), null), shared.loop());
    }
    preCopy.arrange();
    runAgain();
    fetchMode.start();
  }

  private LocalIo localIo() {
    return new LocalIo(
        replica.grid(),
        replica.file(),
        replica.held(),
        fetchMode.fetched(),
        replicas,
        replica.heat(),
        content,
        replica.inFlight(),
        replica.durability(),
        fetchMode.counters(),
        new LocalHost());
  }

  private void stopFetching() {
    preCopy.stop();
    fetchMode.stop();
  }

  private void stopPassThrough() {
    if (passThrough != null) {
      parked.addAll(passThrough.stop());
      passThrough = null;
    }
  }

  private void runAgain() {
    parked.runAgain(this::submit);
  }

  private void completed() {
    runAgain();
    shared.events().complete(this);
  }

  private final class ReplicaListener implements LocalReplica.Listener {
    @Override
    public void changes(String what) {
      shared.events().changed(Volume.this, what);
    }

    @Override
    public void broken() {
      stopFetching();
      runAgain();
    }
  }

  private final class LocalHost implements LocalIo.Host {
    @Override
    public void again(GuestRequest request) {
      submit(request);
    }

    @Override
    public void broken(IOException error) {
      replica.broken(error);
    }

    @Override
    public void heldByGuest() {
      fetchMode.heldByGuest();
    }
  }
}
