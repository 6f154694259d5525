// SPDX-License-Identifier: Apache-2.0
/** The command line: {@code vmferry} and its subcommands, one package for each group of them. */
package io.vmferry.cli;
