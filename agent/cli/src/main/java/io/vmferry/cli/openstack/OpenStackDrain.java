// SPDX-License-Identifier: Apache-2.0
package io.vmferry.cli.openstack;

import io.vmferry.api.ProblemException;
import io.vmferry.api.RelayClient;
import io.vmferry.api.VolumeLocation;
import io.vmferry.cli.base.CommandFailure;
import io.vmferry.cli.base.Surroundings;
import io.vmferry.openstack.CloudException;
import io.vmferry.openstack.Drain;
import io.vmferry.openstack.Nova;
import io.vmferry.openstack.Server;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** Empties a host: first of its servers, then of the blocks that they left there. */
@Command(
    name = "drain",
    description = {
      "Migrate all servers of a host to others, and wait until their last block has left it.",
      "Stops at the first failure; begun again, it goes on with what is still there."
    })
public final class OpenStackDrain extends CloudCommand {
  @Spec private CommandSpec command;

  @Parameters(paramLabel = "HOST", description = "Compute host to empty.")
  private String host;

  @Option(
      names = "--to",
      required = true,
      split = ",",
      paramLabel = "HOST",
      description = "Compute hosts to move to; several with commas between.")
  private List<String> targets;

  @Option(
      names = "--parallel",
      paramLabel = "N",
      defaultValue = "1",
      description = "Migrations at a time; default: ${DEFAULT-VALUE}.")
  private int parallel;

  @Option(
      names = "--node",
      paramLabel = "NODE",
      description = "The host's name in vmferry.yaml; default: the same as Nova's.")
  private String node;

  public OpenStackDrain(Surroundings surroundings) {
    super(surroundings);
  }

  @Override
  int run(Nova nova) throws Exception {
    if (parallel < 1) {
      throw new ParameterException(command.commandLine(), "--parallel must be 1 or more");
    }
    if (targets.contains(host)) {
      throw new ParameterException(command.commandLine(), "--to names the host itself: " + host);
    }
    String drained = node == null ? host : node;
    try (RelayClient relay = relay()) {
      requireKnown(relay, drained);
      Drain drain =
          new Drain(
              nova,
              host,
              targets,
              parallel,
              this::say,
              () -> surroundings().pause().millis(LOOK_MILLIS));
      List<String> failures = drain.run();
      if (!failures.isEmpty()) {
        failures.forEach(this::warn);
        throw new CommandFailure(
            host + " is not empty; mend what is named above, then give the same command again");
      }
      awaitBlocks(nova, relay, drained);
    }
    say(
        host
            + " can be switched off: it has no server, and no server needs a block of it."
            + " Volumes that no server uses stay on it");
    return OK;
  }

  /** A wrong name would make everything look as if it had left. */
  private static void requireKnown(RelayClient relay, String drained) throws CommandFailure {
    var status = await(relay.status());
    boolean known =
        status.node().equals(drained)
            || status.peers().stream().anyMatch(peer -> peer.node().equals(drained));
    if (!known) {
      throw new CommandFailure(
          drained
              + " is no node that vmferry on "
              + status.node()
              + " knows; give its name in vmferry.yaml with --node");
    }
  }

  private void awaitBlocks(Nova nova, RelayClient relay, String drained)
      throws CloudException, CommandFailure, InterruptedException {
    String shown = null;
    while (true) {
      if (!nova.servers(host).isEmpty()) {
        throw new CommandFailure(
            host
                + " has servers again; disable it with 'openstack compute service set --disable "
                + host
                + " nova-compute', then give the same command again");
      }
      String left = left(nova, relay, drained);
      if (left == null) {
        return;
      }
      if (!left.equals(shown)) {
        say(left);
        shown = left;
      }
      surroundings().pause().millis(LOOK_MILLIS);
    }
  }

  /** What servers still need of the node, one line; null if nothing. */
  private static String left(Nova nova, RelayClient relay, String drained) throws CloudException {
    Set<String> needed = new TreeSet<>();
    long missing = 0;
    for (Server server : nova.servers(null)) {
      for (String name : server.vmferryVolumes()) {
        try {
          Optional<VolumeLocation> location = locate(relay, name);
          if (location.filter(at -> isAt(at, drained)).isPresent()) {
            needed.add(name);
            missing += location.get().missing();
          }
        } catch (ProblemException e) {
          // Whether it is needed is not known, so it may be.
          return "where " + name + " is, is not known: " + e.getMessage();
        }
      }
    }
    return needed.isEmpty()
        ? null
        : needed.size() + " volumes still need " + drained + ", " + gib(missing) + " to copy";
  }

  private static boolean isAt(VolumeLocation location, String node) {
    return node.equals(location.owner()) || node.equals(location.origin());
  }

  private void say(String line) {
    out().println(line);
    out().flush();
  }
}
