// SPDX-License-Identifier: Apache-2.0
package io.vmferry.cli.base;

import io.vmferry.api.ProblemException;
import io.vmferry.api.RelayClient;
import io.vmferry.config.Config;
import io.vmferry.config.ConfigException;
import java.io.IOException;
import java.nio.file.Path;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import picocli.CommandLine.Option;

/** A command that needs the configuration, most of them to find the relay. */
public abstract class ConfiguredCommand extends CliCommand {
  @Option(
      names = "--config",
      paramLabel = "FILE",
      description = "Configuration; default: ${DEFAULT-VALUE}.",
      defaultValue = "/etc/vmferry/vmferry.yaml")
  private Path configFile;

  protected ConfiguredCommand(Surroundings surroundings) {
    super(surroundings);
  }

  protected final Path configFile() {
    return configFile;
  }

  /** Reads the configuration. */
  protected final Config config() throws CommandFailure, ConfigException {
    try {
      return Config.load(configFile);
    } catch (IOException e) {
      throw new CommandFailure(
          "can't read the configuration "
              + configFile
              + ": "
              + CommandFailure.reason(e)
              + "; name another with --config FILE",
          e);
    }
  }

  /** A client of the relay on this host; the caller closes it. */
  protected final RelayClient relay() throws CommandFailure, ConfigException {
    return new RelayClient(config().paths().relaySocket());
  }

  /**
   * Waits for an answer.
   *
   * @throws ProblemException if it is a problem
   */
  public static <T> T await(CompletableFuture<T> answer) {
    try {
      return answer.join();
    } catch (CompletionException e) {
      if (e.getCause() instanceof ProblemException problem) {
        throw problem;
      }
      throw e;
    }
  }
}
