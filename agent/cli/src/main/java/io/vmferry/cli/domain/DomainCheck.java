// SPDX-License-Identifier: Apache-2.0
package io.vmferry.cli.domain;

import io.vmferry.api.AttachCheck;
import io.vmferry.api.CheckAttach;
import io.vmferry.api.RelayClient;
import io.vmferry.cli.base.CommandFailure;
import io.vmferry.cli.base.ConfiguredCommand;
import io.vmferry.cli.base.Surroundings;
import io.vmferry.cli.base.Virsh;
import io.vmferry.cli.text.Finding;
import io.vmferry.config.Config;
import io.vmferry.config.PreCopyMode;
import io.vmferry.coordinator.hypervisor.DomainXml;
import io.vmferry.coordinator.hypervisor.VmferryDisk;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** Asks all who would be asked in a migration, without one. */
@Command(
    name = "check",
    description = {
      "Say whether a domain of this node could be migrated to another one. Nothing is changed.",
      "Exit status 1 if not; a warning is none."
    })
public final class DomainCheck extends ConfiguredCommand {
  @Parameters(paramLabel = "DOMAIN", description = "libvirt's name or UUID of the domain.")
  private String domain;

  @Option(
      names = "--to",
      paramLabel = "NODE",
      required = true,
      description = "The node that it would go to, as `peers` names it.")
  private String node;

  public DomainCheck(Surroundings surroundings) {
    super(surroundings);
  }

  @Override
  public Integer call() throws Exception {
    List<Finding> findings = examine();
    findings.forEach(finding -> finding.print(out()));
    return Finding.anyFails(findings) ? FAILED : OK;
  }

  private List<Finding> examine() throws Exception {
    Config config = config();
    Virsh virsh = new Virsh(surroundings().processes(), config.libvirtUri());
    DomainXml xml = parsed(virsh.xml(domain), config);
    List<Finding> findings = new ArrayList<>();
    findings.add(state(xml, virsh.state(domain)));
    findings.addAll(disks(xml));
    preCopy(xml).ifPresent(findings::add);
    List<String> volumes = xml.disks().stream().map(VmferryDisk::volume).distinct().toList();
    if (volumes.isEmpty()) {
      findings.add(
          Finding.fail(
              "disk",
              xml.name() + " has no disk on " + config.paths().nbdSocket(),
              "vmferry moves only volumes of its own",
              "virsh shutdown "
                  + xml.name()
                  + ", then: vmferry domain adopt "
                  + xml.name()
                  + " makes volumes of its images"));
      return findings;
    }
    try (RelayClient relay = relay()) {
      AttachCheck check =
          await(relay.checkAttach(new CheckAttach(node, xml.uuid(), volumes, xml.owner())));
      check.here().forEach(problem -> findings.add(Finding.refusal(config.node(), problem)));
      check.there().forEach(problem -> findings.add(Finding.refusal(node, problem)));
      if (check.there().isEmpty()) {
        findings.add(Finding.ok(node, "would take " + String.join(", ", volumes)));
      }
    }
    return findings;
  }

  private DomainXml parsed(String xml, Config config) throws CommandFailure {
    try {
      return DomainXml.parse(xml, config.paths().nbdSocket().toString());
    } catch (DomainXml.InvalidException e) {
      throw new CommandFailure(
          "domain " + domain + ": " + e.getMessage() + "; look at `virsh dumpxml " + domain + "`",
          e);
    }
  }

  private Finding state(DomainXml xml, String state) {
    return state.equals("running")
        ? Finding.ok("domain", xml.name() + " is running")
        : Finding.warn(
            "domain",
            xml.name() + " is " + state,
            "a live migration moves a running domain",
            "a domain that is shut off need not be moved: start it on "
                + node
                + ", and its volumes follow");
  }

  /** What the destination's relay would say of the choice that the metadata makes. */
  private static Optional<Finding> preCopy(DomainXml xml) {
    if (xml.preCopy() == null) {
      return Optional.empty();
    }
    try {
      PreCopyMode mode = PreCopyMode.parse(xml.preCopy());
      return Optional.of(Finding.ok("pre-copy", mode + ", as the metadata wants"));
    } catch (IllegalArgumentException e) {
      return Optional.of(
          Finding.fail(
              "pre-copy",
              "in the metadata: " + e.getMessage(),
              "a migration is refused",
              "virsh metadata "
                  + xml.name()
                  + " "
                  + DomainXml.MIGRATION_NAMESPACE
                  + " --live --config --remove"));
    }
  }

  private List<Finding> disks(DomainXml xml) {
    List<Finding> findings = new ArrayList<>();
    for (VmferryDisk disk : xml.disks()) {
      findings.add(Finding.ok("disk", disk.target() + " is volume " + disk.volume()));
    }
    findings.addAll(DiskPolicy.check(xml));
    for (String target : xml.others()) {
      findings.add(
          Finding.warn(
              "disk",
              target + " is no vmferry disk",
              "vmferry does not move it: " + node + " must find it under the same name",
              "virsh change-media --eject for a CD; vmferry domain adopt "
                  + xml.name()
                  + ", while it is shut off, for an image"));
    }
    return findings;
  }
}
