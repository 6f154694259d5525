// SPDX-License-Identifier: Apache-2.0
package io.vmferry.cli.pki;

import io.vmferry.cli.base.CliCommand;
import io.vmferry.cli.base.Surroundings;
import java.nio.file.Path;
import picocli.CommandLine.Command;
import picocli.CommandLine.Parameters;

/** Makes a certificate authority. */
@Command(
    name = "init",
    description = {
      "Make a certificate authority in a directory.",
      "Its key signs the nodes' certificates: keep the directory off the hosts that run guests."
    })
public final class PkiInit extends CliCommand {
  @Parameters(paramLabel = "DIR", description = "The directory; it is made if it is missing.")
  private Path directory;

  public PkiInit(Surroundings surroundings) {
    super(surroundings);
  }

  @Override
  public Integer call() throws Exception {
    Authority authority = new Authority(directory, surroundings().clock());
    authority.init();
    out().println("made " + authority.caCertificate() + "; every node needs a copy of it");
    return OK;
  }
}
