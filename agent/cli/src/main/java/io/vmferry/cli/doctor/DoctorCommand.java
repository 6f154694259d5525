// SPDX-License-Identifier: Apache-2.0
package io.vmferry.cli.doctor;

import io.vmferry.api.AgentStatus;
import io.vmferry.api.RelayStatus;
import io.vmferry.cli.base.CommandFailure;
import io.vmferry.cli.base.ConfiguredCommand;
import io.vmferry.cli.base.Processes;
import io.vmferry.cli.base.Surroundings;
import io.vmferry.cli.base.Virsh;
import io.vmferry.cli.text.Finding;
import io.vmferry.config.Config;
import io.vmferry.config.ConfigException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** Looks at everything that a migration needs on this node. */
@Command(
    name = "doctor",
    description = {
      "Check this node: configuration, certificates, relay, volumes, the way to each peer and",
      "back, agent, libvirt, hook, disks of domains, QEMU's access to the socket, AppArmor,",
      "SELinux, space.",
      "Exit status 1 if something is broken; a warning is none."
    })
public final class DoctorCommand extends ConfiguredCommand {
  @Option(
      names = "--hook",
      paramLabel = "FILE",
      defaultValue = "/etc/libvirt/hooks/qemu.d/vmferry",
      description = "libvirt's hook script; default: ${DEFAULT-VALUE}.")
  private Path hook;

  public DoctorCommand(Surroundings surroundings) {
    super(surroundings);
  }

  @Override
  public Integer call() {
    List<Finding> findings = examine();
    findings.forEach(finding -> finding.print(out()));
    out().flush();
    return Finding.anyFails(findings) ? FAILED : OK;
  }

  private List<Finding> examine() {
    List<Finding> findings = new ArrayList<>();
    Config config;
    try {
      config = config();
    } catch (CommandFailure | ConfigException e) {
      findings.add(
          Finding.fail(
              "config",
              e.getMessage(),
              "nothing else can be checked, and neither relay nor agent will start",
              "edit " + configFile()));
      return findings;
    }
    findings.add(Finding.ok("config", configFile() + ", node " + config.node()));
    Processes programs = surroundings().processes();
    findings.addAll(new CertificateCheck(config, surroundings().clock(), programs).run());
    ProcessCheck processes = new ProcessCheck(config);
    Optional<RelayStatus> relay =
        processes.relay(new PeerCheck(config, surroundings().clock()), findings);
    Optional<AgentStatus> agent = processes.agent(findings);
    if (agent.filter(AgentStatus::libvirtUp).isPresent()) {
      Virsh virsh = new Virsh(programs, config.libvirtUri());
      findings.addAll(new DomainsCheck(config, virsh).run(agent.get()));
    }
    findings.add(new HookCheck(programs, hook).run());
    findings.addAll(new GuestAccessCheck(config, programs, surroundings().root()).run());
    HostCheck host = new HostCheck(config, programs);
    findings.add(host.space(relay));
    findings.add(host.qemuImg());
    return findings;
  }
}
