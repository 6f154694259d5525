// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.source;

import io.vmferry.api.FetchVolume;
import io.vmferry.api.Problem;
import io.vmferry.api.ProblemException;
import io.vmferry.api.VolumeStatus;
import io.vmferry.relay.volume.VolumeName;
import io.vmferry.relay.volume.VolumeRecord;
import io.vmferry.relay.volume.Volumes;
import java.nio.file.Path;
import java.util.concurrent.CompletableFuture;

/** Makes volumes whose content comes from NBD servers. Loop only. */
public final class FetchedCreation {
  private final Volumes volumes;
  private final NbdSources sources;

  public FetchedCreation(Volumes volumes, NbdSources sources) {
    this.volumes = volumes;
    this.sources = sources;
  }

  /** Asks the server for the size, then makes the volume: it is served and fetched at once. */
  public CompletableFuture<VolumeStatus> create(FetchVolume request) {
    VolumeName.check(request.name());
    if (request.from() == null) {
      throw new ProblemException(Problem.Code.BAD_REQUEST, "the URI of the source is missing");
    }
    if (request.tlsCa() != null && !Path.of(request.tlsCa()).isAbsolute()) {
      throw new ProblemException(
          Problem.Code.BAD_REQUEST,
          "the CA file " + request.tlsCa() + " must be given with its whole path");
    }
    VolumeRecord.Source from = new VolumeRecord.Source(request.from(), request.tlsCa());
    return sources.size(from).thenCompose(size -> volumes.create(request.name(), size, from));
  }
}
