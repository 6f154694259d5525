// SPDX-License-Identifier: Apache-2.0
package io.vmferry.cli.pki;

import io.vmferry.cli.base.CliCommand;
import io.vmferry.cli.base.Surroundings;
import io.vmferry.config.NodeName;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** Makes a node's key and certificate. */
@Command(name = "issue", description = "Make the key and the certificate of a node.")
public final class PkiIssue extends CliCommand {
  @Spec private CommandSpec command;

  @Parameters(index = "0", paramLabel = "DIR", description = "The authority's directory.")
  private Path directory;

  @Parameters(index = "1", paramLabel = "NODE", description = "The node's name.")
  private String node;

  @Option(
      names = "--address",
      paramLabel = "ADDRESS",
      description = "IP address or host name of the node, for tools that check it; repeatable.")
  private List<String> addresses = new ArrayList<>();

  public PkiIssue(Surroundings surroundings) {
    super(surroundings);
  }

  @Override
  public Integer call() throws Exception {
    try {
      NodeName.check(node);
    } catch (IllegalArgumentException e) {
      throw new ParameterException(command.commandLine(), e.getMessage(), e);
    }
    Authority authority = new Authority(directory, surroundings().clock());
    authority.issue(node, addresses);
    out()
        .printf(
            "made %s and %s%ncopy them to %s as /etc/vmferry/pki/node.crt and node.key,"
                + " and %s as /etc/vmferry/pki/ca.crt%n",
            authority.certificate(node), authority.key(node), node, authority.caCertificate());
    return OK;
  }
}
