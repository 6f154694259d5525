// SPDX-License-Identifier: Apache-2.0
package io.vmferry.cli.domain;

import picocli.CommandLine.Command;

/** The group of the commands for domains. */
@Command(
    name = "domain",
    description = "Look at libvirt's domains, give them volumes, and take them back.",
    synopsisSubcommandLabel = "COMMAND",
    subcommands = {DomainCheck.class, DomainAdopt.class, DomainRelease.class})
public final class DomainCommand {}
