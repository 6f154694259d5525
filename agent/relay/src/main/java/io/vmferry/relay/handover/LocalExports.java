// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.handover;

import io.vmferry.api.AttachStandby;
import io.vmferry.api.VolumeState;
import io.vmferry.nbd.NbdExport;
import io.vmferry.nbd.NbdExportException;
import io.vmferry.nbd.NbdExports;
import io.vmferry.relay.volume.Volume;
import io.vmferry.relay.volume.VolumeName;
import io.vmferry.relay.volume.Volumes;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.CompletionStage;

/**
 * What QEMU finds at this node: the volumes here, and those of the peers. Asking for a volume that
 * is owned elsewhere attaches a standby, so that a missed hook costs nothing but time. Loop only.
 */
public final class LocalExports implements NbdExports {
  private final Volumes volumes;
  private final Peers peers;
  private final Attacher attacher;

  public LocalExports(Volumes volumes, Peers peers, Attacher attacher) {
    this.volumes = volumes;
    this.peers = peers;
    this.attacher = attacher;
  }

  @Override
  public List<String> names() {
    return volumes.names();
  }

  @Override
  public CompletionStage<NbdExport> find(String name) {
    Volume here = volumes.byName(name);
    if (here != null && here.failure() != null) {
      return refuse(NbdExportException.Reason.POLICY, here.failure());
    }
    if (volumes.broken(name) != null) {
      return refuse(NbdExportException.Reason.POLICY, volumes.broken(name));
    }
    // A guest that lost its connection in a roll-back comes back to its released replica.
    boolean returns = here != null && here.clients() > 0;
    if (here != null && (here.record().state() != VolumeState.RELEASED || returns)) {
      return CompletableFuture.completedFuture(here);
    }
    if (!VolumeName.isValid(name) || (here == null && peers.links().isEmpty())) {
      return refuse(
          NbdExportException.Reason.UNKNOWN,
          "there is no volume '"
              + name
              + "' on node "
              + peers.self()
              + "; 'vmferry volume list' shows what is here");
    }
    return attach(name, here);
  }

  private CompletionStage<NbdExport> attach(String name, Volume here) {
    CompletableFuture<Void> attached;
    try {
      attached =
          attacher.attach(
              new AttachStandby(
                  here == null ? null : here.record().domain(),
                  List.of(name),
                  here == null ? null : here.record().epoch().owner()));
    } catch (RuntimeException e) {
      attached = CompletableFuture.failedFuture(e);
    }
    return attached.handle(
        (done, error) -> {
          if (error != null) {
            Throwable cause = error instanceof CompletionException ? error.getCause() : error;
            throw new CompletionException(
                new NbdExportException(NbdExportException.Reason.UNKNOWN, cause.getMessage()));
          }
          return volumes.byName(name);
        });
  }

  private static CompletionStage<NbdExport> refuse(
      NbdExportException.Reason reason, String message) {
    return CompletableFuture.failedFuture(new NbdExportException(reason, message));
  }
}
