// SPDX-License-Identifier: Apache-2.0
package io.vmferry.cli.openstack;

import picocli.CommandLine.Command;

/** The group of the commands for OpenStack. */
@Command(
    name = "openstack",
    description = "List and migrate servers of an OpenStack cloud, and empty its hosts.",
    synopsisSubcommandLabel = "COMMAND",
    subcommands = {OpenStackList.class, OpenStackMigrate.class, OpenStackDrain.class})
public final class OpenStackCommand {}
