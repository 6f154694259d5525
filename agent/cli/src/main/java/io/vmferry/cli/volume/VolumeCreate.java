// SPDX-License-Identifier: Apache-2.0
package io.vmferry.cli.volume;

import io.vmferry.api.CreateVolume;
import io.vmferry.api.FetchVolume;
import io.vmferry.api.RelayClient;
import io.vmferry.cli.base.ConfiguredCommand;
import io.vmferry.cli.base.Surroundings;
import io.vmferry.config.ByteSize;
import java.nio.file.Path;
import picocli.CommandLine.ArgGroup;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** Creates a volume: an empty one, or one whose content comes from an NBD server. */
@Command(
    name = "create",
    description = {
      "Create a volume on this node. An empty one takes space as it is written.",
      "One from an NBD server has that server's size and can be used at once: what is read is"
          + " fetched first, all else in the background. Nothing is written to the server, and"
          + " nothing else may write to it until the volume is complete."
    })
public final class VolumeCreate extends ConfiguredCommand {
  @Spec private CommandSpec command;

  @Parameters(paramLabel = "NAME", description = "Its name, the same on every node.")
  private String name;

  @ArgGroup(multiplicity = "1")
  private Content content;

  /** What is in it. */
  private static final class Content {
    @Option(
        names = "--size",
        required = true,
        paramLabel = "SIZE",
        description = "Size of the empty disk, such as 10G.")
    private String size;

    @ArgGroup(exclusive = false)
    private Server server;
  }

  /** Where it comes from. */
  private static final class Server {
    @Option(
        names = "--from",
        required = true,
        paramLabel = "URI",
        description =
            "The disk of an NBD server: nbd://HOST[:PORT]/EXPORT, nbds:// with TLS, or"
                + " nbd+unix:///EXPORT?socket=PATH.")
    private String uri;

    @Option(
        names = "--tls-ca",
        paramLabel = "FILE",
        description =
            "Certificates of the authorities that the server's may be from, as the relay can read"
                + " them; without it those that the system trusts.")
    private Path tlsCa;
  }

  public VolumeCreate(Surroundings surroundings) {
    super(surroundings);
  }

  @Override
  public Integer call() throws Exception {
    try (RelayClient relay = relay()) {
      if (content.server == null) {
        await(relay.createVolume(new CreateVolume(name, bytes())));
      } else {
        Path ca = content.server.tlsCa;
        String file = ca == null ? null : ca.toAbsolutePath().toString();
        await(relay.fetchVolume(new FetchVolume(name, content.server.uri, file)));
      }
      return OK;
    }
  }

  private long bytes() {
    try {
      return ByteSize.parse(content.size).bytes();
    } catch (IllegalArgumentException e) {
      throw new ParameterException(command.commandLine(), "--size: " + e.getMessage(), e);
    }
  }
}
