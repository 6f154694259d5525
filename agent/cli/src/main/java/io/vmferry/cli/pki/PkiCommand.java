// SPDX-License-Identifier: Apache-2.0
package io.vmferry.cli.pki;

import picocli.CommandLine.Command;

/** The group of the commands for certificates. */
@Command(
    name = "pki",
    description = "Make the certificates by which nodes know each other.",
    synopsisSubcommandLabel = "COMMAND",
    subcommands = {PkiInit.class, PkiIssue.class})
public final class PkiCommand {}
