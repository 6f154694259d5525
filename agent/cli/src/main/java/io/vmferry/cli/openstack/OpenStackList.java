// SPDX-License-Identifier: Apache-2.0
package io.vmferry.cli.openstack;

import io.vmferry.api.ProblemException;
import io.vmferry.api.RelayClient;
import io.vmferry.api.VolumeLocation;
import io.vmferry.cli.base.Surroundings;
import io.vmferry.cli.text.Table;
import io.vmferry.openstack.Nova;
import io.vmferry.openstack.Server;
import java.util.Optional;
import picocli.CommandLine.Command;

/** Lists servers and where each block of their volumes is. */
@Command(name = "list", description = "List all servers, their hosts, and where their volumes are.")
public final class OpenStackList extends CloudCommand {
  public OpenStackList(Surroundings surroundings) {
    super(surroundings);
  }

  @Override
  int run(Nova nova) throws Exception {
    Table table =
        new Table()
            .column("SERVER", Table.Align.LEFT)
            .column("STATUS", Table.Align.LEFT)
            .column("HOST", Table.Align.LEFT)
            .column("VOLUME", Table.Align.LEFT)
            .column("OWNER", Table.Align.LEFT)
            .column("STILL AT", Table.Align.LEFT);
    try (RelayClient relay = relay()) {
      for (Server server : nova.servers(null)) {
        if (server.volumes().isEmpty()) {
          row(table, server, "-", "-", "-");
        }
        for (String volume : server.vmferryVolumes()) {
          volume(table, relay, server, volume);
        }
      }
    }
    table.render().forEach(out()::println);
    return OK;
  }

  private static void volume(Table table, RelayClient relay, Server server, String name) {
    try {
      Optional<VolumeLocation> location = locate(relay, name);
      row(
          table,
          server,
          name,
          location.map(VolumeLocation::owner).orElse("not vmferry's"),
          location.map(OpenStackList::stillAt).orElse("-"));
    } catch (ProblemException e) {
      row(table, server, name, "unknown", "-");
      table.note(e.getMessage());
    }
  }

  private static String stillAt(VolumeLocation location) {
    return location.origin() == null
        ? "-"
        : location.origin() + ": " + gib(location.missing()) + " of " + gib(location.size());
  }

  private static void row(Table table, Server server, String volume, String owner, String stillAt) {
    String host = server.host() == null ? "-" : server.host();
    table.row(server.name(), server.status(), host, volume, owner, stillAt);
  }
}
