// SPDX-License-Identifier: Apache-2.0
package io.vmferry.cli.doctor;

import io.vmferry.api.AgentStatus;
import io.vmferry.api.AgentStatus.DomainStatus;
import io.vmferry.cli.base.CommandFailure;
import io.vmferry.cli.base.Virsh;
import io.vmferry.cli.domain.DiskPolicy;
import io.vmferry.cli.text.Finding;
import io.vmferry.config.Config;
import io.vmferry.coordinator.hypervisor.DomainXml;
import java.util.ArrayList;
import java.util.List;

/** What a stopped relay would mean to the guests here. */
final class DomainsCheck {
  /** First libvirt that hands {@code <reconnect>} of an NBD disk on to QEMU. */
  private static final int[] RECONNECTS = {9, 2};

  private final Config config;
  private final Virsh virsh;

  DomainsCheck(Config config, Virsh virsh) {
    this.config = config;
    this.virsh = virsh;
  }

  List<Finding> run(AgentStatus agent) {
    List<Finding> findings = new ArrayList<>();
    try {
      findings.add(reconnect(virsh.daemonVersion()));
      for (DomainStatus domain : agent.domains()) {
        String xml = virsh.xml(domain.name());
        findings.addAll(
            DiskPolicy.check(DomainXml.parse(xml, config.paths().nbdSocket().toString())));
      }
    } catch (CommandFailure | DomainXml.InvalidException e) {
      findings.add(
          Finding.warn(
              "disk",
              "not all domains were looked at: " + e.getMessage(),
              "a disk without error_policy='stop' shows its guest errors while the relay is away",
              "run this again"));
    }
    return findings;
  }

  /** No defect of this host, but what to expect when the relay is restarted. */
  private static Finding reconnect(String version) {
    String[] parts = version.split("\\.", -1);
    boolean knows;
    try {
      int major = Integer.parseInt(parts[0]);
      int minor = parts.length > 1 ? Integer.parseInt(parts[1]) : 0;
      knows = major > RECONNECTS[0] || (major == RECONNECTS[0] && minor >= RECONNECTS[1]);
    } catch (NumberFormatException e) {
      knows = false;
    }
    return Finding.ok(
        "libvirt",
        knows
            ? version + " knows <reconnect> for NBD: disks that have it wait for a restarted relay"
            : version
                + " does not know <reconnect> for NBD (9.2 does): guests pause while the relay is"
                + " away, and the agent resumes them");
  }
}
