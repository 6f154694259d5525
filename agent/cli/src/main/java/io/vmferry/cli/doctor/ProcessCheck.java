// SPDX-License-Identifier: Apache-2.0
package io.vmferry.cli.doctor;

import io.vmferry.api.AgentClient;
import io.vmferry.api.AgentStatus;
import io.vmferry.api.ProblemException;
import io.vmferry.api.RelayClient;
import io.vmferry.api.RelayStatus;
import io.vmferry.api.VolumeStatus;
import io.vmferry.cli.text.Finding;
import io.vmferry.config.Config;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;

/** Whether relay and agent answer, and what they say of volumes and libvirt. */
final class ProcessCheck {
  private static final String RELAY = "relay";
  private static final String AGENT = "agent";
  private static final String LIBVIRT = "libvirt";

  private final Config config;

  ProcessCheck(Config config) {
    this.config = config;
  }

  /**
   * Asks the relay.
   *
   * @param peers looks at its peers
   * @param findings what is found is added here
   * @return what it says, if it says anything
   */
  Optional<RelayStatus> relay(PeerCheck peers, List<Finding> findings) {
    try (RelayClient client = new RelayClient(config.paths().relaySocket())) {
      RelayStatus status = await(client.status());
      findings.add(name(RELAY, status.node(), status.version(), "systemctl restart vmferry-relay"));
      findings.addAll(volumes(status.volumes()));
      findings.addAll(peers.run(client, status.peers()));
      return Optional.of(status);
    } catch (ProblemException e) {
      findings.add(
          Finding.fail(
              RELAY,
              e.getMessage(),
              "guests with vmferry disks can't start, and running ones are paused by I/O errors",
              "systemctl start vmferry-relay"));
      return Optional.empty();
    }
  }

  /** The same for the agent. */
  Optional<AgentStatus> agent(List<Finding> findings) {
    try (AgentClient client = new AgentClient(config.paths().agentSocket())) {
      AgentStatus status = await(client.status());
      findings.add(name(AGENT, status.node(), status.version(), "systemctl restart vmferry-agent"));
      findings.add(
          status.libvirtUp()
              ? Finding.ok(LIBVIRT, "connected to " + config.libvirtUri())
              : Finding.fail(
                  LIBVIRT,
                  config.libvirtUri() + " is not connected: " + status.problem(),
                  "the agent can't tell whether a guest runs here, so takeovers wait",
                  "systemctl start libvirtd"));
      return Optional.of(status);
    } catch (ProblemException e) {
      findings.add(
          Finding.fail(
              AGENT,
              e.getMessage(),
              "no guest with vmferry disks can arrive, and takeovers from here wait",
              "systemctl start vmferry-agent"));
      return Optional.empty();
    }
  }

  private Finding name(String subject, String node, String version, String mend) {
    return node.equals(config.node())
        ? Finding.ok(subject, "answers as " + node + ", vmferry " + version)
        : Finding.warn(
            subject,
            "answers as '" + node + "', but the configuration says '" + config.node() + "'",
            "it runs with an older configuration than the one checked here",
            mend);
  }

  private static List<Finding> volumes(List<VolumeStatus> volumes) {
    List<Finding> findings = new ArrayList<>();
    for (VolumeStatus volume : volumes) {
      if (volume.failure() != null) {
        findings.add(
            Finding.fail(
                "volume",
                volume.name() + " is stopped: " + volume.failure(),
                "its guest waits for I/O",
                "vmferry volume show " + volume.name()));
      } else if (volume.waitingFor() != null) {
        findings.add(
            Finding.warn(
                "volume",
                volume.name() + " waits for: " + volume.waitingFor(),
                "its guest may wait with it",
                "vmferry volume show " + volume.name()));
      }
    }
    return findings;
  }

  static <T> T await(CompletableFuture<T> answer) {
    try {
      return answer.join();
    } catch (CompletionException e) {
      if (e.getCause() instanceof ProblemException problem) {
        throw problem;
      }
      throw e;
    }
  }
}
