// SPDX-License-Identifier: Apache-2.0
package io.vmferry.cli.status;

import io.vmferry.api.RelayClient;
import io.vmferry.api.SetRate;
import io.vmferry.cli.base.ConfiguredCommand;
import io.vmferry.cli.base.Surroundings;
import io.vmferry.config.ByteRate;
import java.util.Optional;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** Shows or sets the cap of the background copy. */
@Command(
    name = "rate",
    description = {
      "Show the cap of the background copy, or set it until the relay restarts.",
      "What guests wait for is never held back. The lasting cap is copy.rate-limit in the"
          + " configuration."
    })
public final class RateCommand extends ConfiguredCommand {
  @Spec private CommandSpec command;

  @Parameters(
      arity = "0..1",
      paramLabel = "RATE",
      description = "Such as 50 MiB/s or 400 Mbit/s, or none.")
  private String rate;

  public RateCommand(Surroundings surroundings) {
    super(surroundings);
  }

  @Override
  public Integer call() throws Exception {
    Optional<ByteRate> limit = Optional.empty();
    if (rate != null) {
      try {
        limit = ByteRate.parseLimit(rate);
      } catch (IllegalArgumentException e) {
        throw new ParameterException(command.commandLine(), e.getMessage() + ", or none", e);
      }
    }
    try (RelayClient relay = relay()) {
      if (rate == null) {
        out().println(StatusView.rateLimit(await(relay.status()).rateLimit()));
      } else {
        await(relay.setRate(new SetRate(limit.map(ByteRate::bytesPerSecond).orElse(null))));
      }
      return OK;
    }
  }
}
