// SPDX-License-Identifier: Apache-2.0
package io.vmferry.cli.openstack;

import io.vmferry.api.Problem;
import io.vmferry.api.ProblemException;
import io.vmferry.api.RelayClient;
import io.vmferry.api.VolumeLocation;
import io.vmferry.cli.base.CommandFailure;
import io.vmferry.cli.base.ConfiguredCommand;
import io.vmferry.cli.base.Surroundings;
import io.vmferry.openstack.CloudAccessFiles;
import io.vmferry.openstack.CloudException;
import io.vmferry.openstack.Nova;
import java.util.Locale;
import java.util.Optional;
import picocli.CommandLine.Option;

/** A command that asks a cloud, and the relay of this node where volumes are. */
abstract class CloudCommand extends ConfiguredCommand {
  /** Between looks at something that takes seconds to hours. */
  static final long LOOK_MILLIS = 2000;

  @Option(
      names = "--os-cloud",
      paramLabel = "CLOUD",
      description = "A cloud of clouds.yaml; default: OS_CLOUD, else OS_AUTH_URL and so on.")
  private String cloud;

  CloudCommand(Surroundings surroundings) {
    super(surroundings);
  }

  @Override
  public final Integer call() throws Exception {
    try {
      var environment = surroundings().environment();
      return run(
          Nova.login(
              new CloudAccessFiles(environment, CloudAccessFiles.usual(environment)).find(cloud)));
    } catch (CloudException e) {
      throw new CommandFailure(e.getMessage(), e);
    }
  }

  abstract int run(Nova nova) throws Exception;

  /** Where a volume is; empty if no node has it, as it is another backend's. */
  static Optional<VolumeLocation> locate(RelayClient relay, String volume) {
    try {
      return Optional.of(await(relay.location(volume)));
    } catch (ProblemException e) {
      if (e.problem().code() == Problem.Code.NOT_FOUND) {
        return Optional.empty();
      }
      throw e;
    }
  }

  static String gib(long bytes) {
    return String.format(Locale.ROOT, "%.1f GiB", bytes / (double) (1L << 30));
  }
}
