// SPDX-License-Identifier: Apache-2.0
package io.vmferry.cli;

import io.vmferry.api.ProblemException;
import io.vmferry.cli.base.CommandFailure;
import io.vmferry.cli.base.Surroundings;
import io.vmferry.cli.doctor.DoctorCommand;
import io.vmferry.cli.domain.DomainCommand;
import io.vmferry.cli.openstack.OpenStackCommand;
import io.vmferry.cli.pki.PkiCommand;
import io.vmferry.cli.process.AgentCommand;
import io.vmferry.cli.process.RelayCommand;
import io.vmferry.cli.process.ReloadCommand;
import io.vmferry.cli.status.RateCommand;
import io.vmferry.cli.status.StatusCommand;
import io.vmferry.cli.volume.VolumeCommand;
import io.vmferry.config.ConfigException;
import java.io.PrintWriter;
import java.lang.reflect.Constructor;
import picocli.AutoComplete.GenerateCompletion;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.IFactory;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.ScopeType;

/**
 * The {@code vmferry} command. Exit status 0: done; 1: not done, one line on standard error says
 * why; 2: not understood; 78: relay or agent, not configured.
 */
@Command(
    name = "vmferry",
    description = "Live migration of virtual machines with their disks, without shared storage.",
    mixinStandardHelpOptions = true,
    versionProvider = VersionProvider.class,
    scope = ScopeType.INHERIT,
    synopsisSubcommandLabel = "COMMAND",
    subcommands = {
      RelayCommand.class,
      AgentCommand.class,
      StatusCommand.class,
      VolumeCommand.class,
      DomainCommand.class,
      RateCommand.class,
      ReloadCommand.class,
      OpenStackCommand.class,
      PkiCommand.class,
      DoctorCommand.class,
      GenerateCompletion.class
    })
public final class VmferryCommand {
  private VmferryCommand() {}

  /** Runs one command and exits with its status. */
  public static void main(String[] arguments) {
    System.exit(commandLine(Surroundings.real()).execute(arguments));
  }

  /** The whole command line in a world of one's choice. */
  static CommandLine commandLine(Surroundings surroundings) {
    CommandLine commandLine = new CommandLine(new VmferryCommand(), new Factory(surroundings));
    // For those who build packages, not for users.
    commandLine
        .getSubcommands()
        .get("generate-completion")
        .getCommandSpec()
        .usageMessage()
        .hidden(true);
    return commandLine
        .setParameterExceptionHandler(VmferryCommand::misunderstood)
        .setExecutionExceptionHandler((failure, command, parsed) -> failed(failure, command));
  }

  private static int misunderstood(ParameterException failure, String[] arguments) {
    CommandLine command = failure.getCommandLine();
    PrintWriter err = command.getErr();
    err.println("vmferry: " + failure.getMessage());
    err.println("Try `" + command.getCommandSpec().qualifiedName() + " --help`.");
    return CommandLine.ExitCode.USAGE;
  }

  private static int failed(Exception failure, CommandLine command) {
    boolean expected =
        failure instanceof ProblemException
            || failure instanceof CommandFailure
            || failure instanceof ConfigException;
    String message =
        expected
            ? failure.getMessage()
            : "internal error: " + failure + "; this is a fault of vmferry: please report it";
    command.getErr().println("vmferry: " + message);
    return CommandLine.ExitCode.SOFTWARE;
  }

  /** Gives each command its surroundings. */
  private record Factory(Surroundings surroundings) implements IFactory {
    @Override
    public <K> K create(Class<K> type) throws Exception {
      for (Constructor<?> constructor : type.getConstructors()) {
        Class<?>[] parameters = constructor.getParameterTypes();
        if (parameters.length == 1 && parameters[0] == Surroundings.class) {
          return type.cast(constructor.newInstance(surroundings));
        }
      }
      return CommandLine.defaultFactory().create(type);
    }
  }
}
