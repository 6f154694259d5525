// SPDX-License-Identifier: Apache-2.0
package io.vmferry.cli.doctor;

import io.vmferry.api.RelayStatus;
import io.vmferry.cli.base.CommandFailure;
import io.vmferry.cli.base.ConfiguredCommand;
import io.vmferry.cli.base.Surroundings;
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
      "Check this node: configuration, certificates, relay, agent, libvirt, hook, peers, space.",
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
    findings.addAll(new CertificateCheck(config, surroundings().clock()).run());
    ProcessCheck processes = new ProcessCheck(config);
    Optional<RelayStatus> relay = processes.relay(findings);
    findings.addAll(processes.agent());
    HostCheck host = new HostCheck(config, surroundings().processes(), hook);
    findings.add(host.hook());
    findings.add(host.space(relay));
    findings.add(host.qemuImg());
    return findings;
  }
}
