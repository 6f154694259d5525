// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.handover;

import com.google.protobuf.ByteString;
import io.vmferry.api.PeerProbe;
import io.vmferry.api.Problem;
import io.vmferry.api.ProblemException;
import io.vmferry.relay.exec.Loop;
import io.vmferry.relay.peer.PeerLink;
import io.vmferry.relay.peer.wire.Frame;
import io.vmferry.relay.peer.wire.Probe;
import io.vmferry.relay.peer.wire.Probed;
import io.vmferry.relay.peer.wire.Refused;
import java.time.Instant;
import java.time.InstantSource;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.TimeUnit;
import java.util.function.Supplier;

/** Tries the way to a peer and back for {@code vmferry doctor}. Loop only. */
public final class PeerProbes {
  /** Bytes: many packets, also where they are jumbo frames; nothing to a link. */
  static final int PADDING = 32 << 10;

  private static final double NANOS_PER_MILLI = TimeUnit.MILLISECONDS.toNanos(1);

  private final Peers peers;
  private final Loop loop;
  private final InstantSource wallClock;
  private final Supplier<Instant> certificateEnd;

  /**
   * @param certificateEnd until when this node's own certificate is valid
   */
  public PeerProbes(
      Peers peers, Loop loop, InstantSource wallClock, Supplier<Instant> certificateEnd) {
    this.peers = peers;
    this.loop = loop;
    this.wallClock = wallClock;
    this.certificateEnd = certificateEnd;
  }

  /**
   * Asks a peer. A way that loses large packets ends with the connection's heartbeat, in seconds.
   *
   * @return fails only for a node that is no peer
   */
  public CompletableFuture<PeerProbe> probe(String node) {
    if (!peers.knows(node)) {
      throw new ProblemException(
          Problem.Code.NOT_FOUND, "node " + node + " is not among the peers in vmferry.yaml");
    }
    PeerLink link = peers.link(node);
    boolean stood = link.up();
    long begin = loop.nanoTime();
    Probe question = Probe.newBuilder().setPadding(padding(PADDING)).build();
    return ControlCall.ask(
            link,
            Frame.newBuilder().setProbe(question).build(),
            loop,
            (answer, payload) -> read(node, answer.getProbed(), begin))
        .exceptionally(error -> failed(link, stood, error));
  }

  private PeerProbe read(String node, Probed answer, long begin) {
    double rtt = (loop.nanoTime() - begin) / NANOS_PER_MILLI;
    // Its clock was read half-way through.
    long here = wallClock.millis() - Math.round(rtt / 2);
    return new PeerProbe(
        node,
        rtt,
        answer.getWallClockMillis() - here,
        Instant.ofEpochMilli(answer.getCertificateEndMillis()),
        answer.getWayBackProblem().isEmpty() ? null : answer.getWayBackProblem(),
        null);
  }

  private static PeerProbe failed(PeerLink link, boolean stood, Throwable error) {
    Throwable cause = error instanceof CompletionException ? error.getCause() : error;
    String problem;
    if (cause instanceof RefusedException refused && refused.code() == Refused.Code.UNSUPPORTED) {
      problem = "it runs a release that can't be probed";
    } else if (stood) {
      problem =
          "it is connected, but a message of "
              + (PADDING >> 10)
              + " KiB did not come through: "
              + cause.getMessage();
    } else {
      problem = cause.getMessage();
    }
    return new PeerProbe(link.node(), null, null, null, null, problem);
  }

  /** The other side. */
  Probed answer(String peer, Probe question) {
    PeerLink back = peers.link(peer);
    Probed.Builder answer =
        Probed.newBuilder()
            .setWallClockMillis(wallClock.millis())
            .setCertificateEndMillis(certificateEnd.get().toEpochMilli())
            .setPadding(padding(question.getPadding().size()));
    if (!back.up()) {
      answer.setWayBackProblem(String.valueOf(back.problem()));
    }
    return answer.build();
  }

  private static ByteString padding(int bytes) {
    return ByteString.copyFrom(new byte[bytes]);
  }
}
