// SPDX-License-Identifier: Apache-2.0
package io.vmferry.cli.openstack;

import io.vmferry.cli.base.CommandFailure;
import io.vmferry.cli.base.Surroundings;
import io.vmferry.openstack.LiveMigration;
import io.vmferry.openstack.Nova;
import io.vmferry.openstack.Server;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** Migrates one server live. */
@Command(
    name = "migrate",
    description = {
      "Migrate a server to another host while it runs.",
      "With --wait the exit status is the true result, and a failure says why."
    })
public final class OpenStackMigrate extends CloudCommand {
  @Parameters(paramLabel = "SERVER", description = "Name or UUID.")
  private String name;

  @Option(names = "--to", required = true, paramLabel = "HOST", description = "Compute host.")
  private String host;

  @Option(names = "--wait", description = "Wait until the server runs there, or until it failed.")
  private boolean wait;

  public OpenStackMigrate(Surroundings surroundings) {
    super(surroundings);
  }

  @Override
  int run(Nova nova) throws Exception {
    Server server = nova.server(name);
    if (host.equals(server.host())) {
      out().println(server.name() + " is on " + host + " already");
      return OK;
    }
    LiveMigration migration = LiveMigration.begin(nova, server, host);
    if (!wait) {
      out().println("Nova is migrating " + server.name() + " to " + host);
      return OK;
    }
    LiveMigration.State state = migration.look();
    while (state == LiveMigration.State.RUNNING) {
      surroundings().pause().millis(LOOK_MILLIS);
      state = migration.look();
    }
    if (state == LiveMigration.State.FAILED) {
      throw new CommandFailure(migration.failure());
    }
    out().println(server.name() + " runs on " + host + "; its disk follows");
    return OK;
  }
}
