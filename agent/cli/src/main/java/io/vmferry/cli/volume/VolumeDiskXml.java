// SPDX-License-Identifier: Apache-2.0
package io.vmferry.cli.volume;

import io.vmferry.cli.base.ConfiguredCommand;
import io.vmferry.cli.base.Surroundings;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** Prints what a domain needs to have a volume as a disk. */
@Command(
    name = "disk-xml",
    description = "Print the disk element for a libvirt domain that uses a volume.")
public final class VolumeDiskXml extends ConfiguredCommand {
  @Parameters(paramLabel = "NAME", description = "The volume; it need not exist yet.")
  private String name;

  @Option(
      names = "--target",
      paramLabel = "DEVICE",
      defaultValue = "vda",
      description = "What the guest calls it; default: ${DEFAULT-VALUE}.")
  private String target;

  public VolumeDiskXml(Surroundings surroundings) {
    super(surroundings);
  }

  @Override
  public Integer call() throws Exception {
    // A lost relay must pause the VM, never fail its I/O: hence the two policies.
    out()
        .printf(
            """
            <disk type='network' device='disk'>
              <driver name='qemu' type='raw' cache='none' discard='unmap' error_policy='stop' rerror_policy='stop'/>
              <source protocol='nbd' name='%s'>
                <host transport='unix' socket='%s'/>
              </source>
              <target dev='%s' bus='virtio'/>
            </disk>
            """,
            escape(name), escape(config().paths().nbdSocket().toString()), escape(target));
    return OK;
  }

  private static String escape(String text) {
    return text.replace("&", "&amp;").replace("<", "&lt;").replace("'", "&apos;");
  }
}
