// SPDX-License-Identifier: Apache-2.0
package io.vmferry.cli.doctor;

import io.vmferry.api.PeerProbe;
import io.vmferry.api.ProblemException;
import io.vmferry.api.RelayClient;
import io.vmferry.api.RelayStatus.PeerStatus;
import io.vmferry.cli.text.Finding;
import io.vmferry.config.Config;
import java.time.Clock;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/** The way to each peer and back: port, packet size, clock, the peer's certificate. */
final class PeerCheck {
  private static final String WHY_PEER =
      "volumes that are fetched from there stand still, and none can come or go";

  /** Beyond it nobody can lay two logs side by side; NTP keeps hosts within milliseconds. */
  private static final Duration MAX_SKEW = Duration.ofSeconds(2);

  private static final double MILLIS_PER_SECOND = 1e3;

  private final Config config;
  private final Clock clock;

  PeerCheck(Config config, Clock clock) {
    this.config = config;
    this.clock = clock;
  }

  /**
   * Probes those that are connected.
   *
   * @param relay asks them
   * @param peers as the relay sees them
   */
  List<Finding> run(RelayClient relay, List<PeerStatus> peers) {
    if (peers.isEmpty()) {
      return List.of(
          Finding.warn(
              "peers",
              "none are configured",
              "no volume can come or go",
              "name the other nodes under `peers` in the configuration of every node"));
    }
    List<Finding> findings = new ArrayList<>();
    for (PeerStatus peer : peers) {
      if (peer.up()) {
        findings.addAll(probe(relay, peer));
      } else if (peer.problem() == null) {
        findings.add(Finding.ok("peer", at(peer) + " is not needed now"));
      } else {
        findings.add(down(peer, at(peer) + ": " + peer.problem()));
      }
    }
    return findings;
  }

  private static String at(PeerStatus peer) {
    return peer.node() + " at " + peer.address();
  }

  private static Finding down(PeerStatus peer, String text) {
    return Finding.fail(
        "peer",
        text,
        WHY_PEER,
        "on " + peer.node() + ": vmferry doctor; from here: nc -vz " + hostAndPort(peer));
  }

  private static String host(PeerStatus peer) {
    return peer.address().substring(0, peer.address().lastIndexOf(':'));
  }

  private static String hostAndPort(PeerStatus peer) {
    int port = peer.address().lastIndexOf(':');
    return host(peer) + " " + peer.address().substring(port + 1);
  }

  private List<Finding> probe(RelayClient relay, PeerStatus peer) {
    PeerProbe probe;
    try {
      probe = ProcessCheck.await(relay.probe(peer.node()));
    } catch (ProblemException e) {
      return List.of(down(peer, at(peer) + ": " + e.getMessage()));
    }
    List<Finding> findings = new ArrayList<>();
    if (probe.problem() != null) {
      findings.add(
          Finding.fail(
              "peer",
              at(peer) + ": " + probe.problem(),
              "small messages pass where data does not, if a link takes smaller packets than its"
                  + " two ends: every copy would hang",
              "ping -M do -s 1472 "
                  + host(peer)
                  + "; if that fails, lower the MTU: ip link set mtu 1400 dev DEVICE"));
      return findings;
    }
    wayBack(peer, probe, findings);
    skew(peer, probe, findings);
    certificate(peer, probe, findings);
    if (findings.isEmpty()) {
      findings.add(
          Finding.ok(
              "peer",
              String.format(
                  Locale.ROOT,
                  "%s is connected, both ways, %.1f ms; its certificate has %d days",
                  at(peer),
                  probe.rttMillis(),
                  Duration.between(clock.instant(), probe.certificateEnd()).toDays())));
    }
    return findings;
  }

  private void wayBack(PeerStatus peer, PeerProbe probe, List<Finding> findings) {
    if (probe.wayBackProblem() != null) {
      findings.add(
          Finding.fail(
              "peer",
              peer.node() + " does not reach this node: " + probe.wayBackProblem(),
              "requests go only the way a connection was made: no volume can be fetched from here",
              "let "
                  + peer.node()
                  + " reach TCP port "
                  + config.listen().port()
                  + " of this host (nft list ruleset), and correct `peers` on "
                  + peer.node()));
    }
  }

  private static void skew(PeerStatus peer, PeerProbe probe, List<Finding> findings) {
    if (Math.abs(probe.skewMillis()) > MAX_SKEW.toMillis()) {
      findings.add(
          Finding.warn(
              "clock",
              String.format(
                  Locale.ROOT,
                  "that of %s is %.1f s %s",
                  peer.node(),
                  Math.abs(probe.skewMillis()) / MILLIS_PER_SECOND,
                  probe.skewMillis() > 0 ? "ahead" : "behind"),
              "logs of the two can't be put in order, and a certificate may count as ended or as"
                  + " not valid yet",
              "on both: timedatectl set-ntp true, then timedatectl status"));
    }
  }

  private void certificate(PeerStatus peer, PeerProbe probe, List<Finding> findings) {
    Instant now = clock.instant();
    Instant end = probe.certificateEnd();
    String why = "from then on no peer will talk to it, so no volume comes or goes there";
    String mend =
        "vmferry pki issue CA-DIR "
            + peer.node()
            + ", copy what it makes to "
            + peer.node()
            + ", there: systemctl reload vmferry-relay";
    String what = "the certificate of " + peer.node();
    if (now.isAfter(end)) {
      findings.add(
          Finding.fail(
              "certificates", what + " ended on " + CertificateCheck.date(end), why, mend));
    } else if (now.plus(CertificateCheck.RENEWAL_TIME).isAfter(end)) {
      findings.add(
          Finding.warn(
              "certificates", what + " ends on " + CertificateCheck.until(now, end), why, mend));
    }
  }
}
