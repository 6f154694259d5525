// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay;

import io.vmferry.config.ByteRate;
import io.vmferry.config.Config;
import io.vmferry.config.PreCopyMode;
import io.vmferry.config.RunningConfig;
import io.vmferry.relay.copy.RateLimit;
import io.vmferry.relay.peer.PeerTls;
import java.io.IOException;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Executor;
import java.util.concurrent.atomic.AtomicReference;

/** What else of a running relay follows the configuration. */
final class LiveParts {
  private LiveParts() {}

  /** Certificates: their files are looked at anew, also if they have the same names. */
  static RunningConfig.Part certificates(PeerTls tls) {
    return newer -> {
      PeerTls read = load(newer);
      if (!read.node().equals(tls.node())) {
        throw new IOException(
            "certificate "
                + newer.tls().certificate()
                + " is for node '"
                + read.node()
                + "', this node runs as '"
                + tls.node()
                + "'; issue one for that name");
      }
      return tls.sameAs(read)
          ? Optional.empty()
          : Optional.of(
              new RunningConfig.Change(
                  "tls: new connections show the certificate that is valid until "
                      + read.validUntil(),
                  () -> tls.become(read)));
    };
  }

  static PeerTls load(Config config) throws IOException {
    return PeerTls.load(config.tls().ca(), config.tls().certificate(), config.tls().key());
  }

  /**
   * The cap of the background copy. One that was set by hand stays, unless the file's has changed.
   *
   * @param loop where {@code limit} may be changed
   */
  static RunningConfig.Part rateLimit(Config atStart, RateLimit limit, Executor loop) {
    AtomicReference<Optional<ByteRate>> inForce = new AtomicReference<>(atStart.copy().rateLimit());
    return newer -> {
      Optional<ByteRate> wanted = newer.copy().rateLimit();
      if (wanted.equals(inForce.get())) {
        return Optional.empty();
      }
      return Optional.of(
          new RunningConfig.Change(
              "copy.rate-limit: "
                  + wanted.map(rate -> rate.bytesPerSecond() + " bytes/s").orElse("none"),
              () -> {
                inForce.set(wanted);
                CompletableFuture.runAsync(
                        () -> limit.set(wanted.map(ByteRate::bytesPerSecond).orElse(null)), loop)
                    .join();
              }));
    };
  }

  /** What new standbys copy before the handover; those that are there go on as they are. */
  static RunningConfig.Part preCopy(AtomicReference<PreCopyMode> mode) {
    return newer -> {
      PreCopyMode wanted = newer.copy().preCopy();
      return wanted == mode.get()
          ? Optional.empty()
          : Optional.of(
              new RunningConfig.Change("copy.pre-copy: " + wanted, () -> mode.set(wanted)));
    };
  }
}
