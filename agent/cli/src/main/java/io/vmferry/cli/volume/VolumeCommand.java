// SPDX-License-Identifier: Apache-2.0
package io.vmferry.cli.volume;

import picocli.CommandLine.Command;

/** The group of the commands for volumes. */
@Command(
    name = "volume",
    description = "Create, list, import, export and delete volumes.",
    synopsisSubcommandLabel = "COMMAND",
    subcommands = {
      VolumeCreate.class,
      VolumeImport.class,
      VolumeExport.class,
      VolumeList.class,
      VolumeShow.class,
      VolumeDelete.class,
      VolumePromote.class,
      VolumeDiskXml.class
    })
public final class VolumeCommand {}
