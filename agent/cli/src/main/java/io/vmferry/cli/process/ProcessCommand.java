// SPDX-License-Identifier: Apache-2.0
package io.vmferry.cli.process;

import ch.qos.logback.classic.Level;
import ch.qos.logback.classic.LoggerContext;
import io.vmferry.api.service.ServiceManager;
import io.vmferry.cli.base.CommandFailure;
import io.vmferry.cli.base.ConfiguredCommand;
import io.vmferry.cli.base.Surroundings;
import io.vmferry.cli.base.Version;
import io.vmferry.config.Config;
import io.vmferry.config.ConfigException;
import io.vmferry.config.LogLevel;
import io.vmferry.config.RunningConfig;
import java.io.IOException;
import java.nio.file.AccessDeniedException;
import java.nio.file.FileSystemException;
import java.util.Locale;
import java.util.Optional;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** A command that runs until SIGTERM or SIGINT. */
abstract class ProcessCommand extends ConfiguredCommand {
  /**
   * Exit status: the configuration is wrong or missing. Starting again can't help, so the units
   * name it in RestartPreventExitStatus; everything else they try again.
   */
  static final int NOT_CONFIGURED = 78; // EX_CONFIG of sysexits.h

  ProcessCommand(Surroundings surroundings) {
    super(surroundings);
  }

  /**
   * Runs until a signal.
   *
   * @param version of the program
   * @param manager who started the process
   * @throws IOException if it can't start
   */
  abstract void run(RunningConfig config, String version, ServiceManager manager)
      throws IOException, InterruptedException;

  @Override
  public final Integer call() throws Exception {
    Config config;
    try {
      config = config();
    } catch (CommandFailure | ConfigException e) {
      warn(e.getMessage());
      return NOT_CONFIGURED;
    }
    setLevel(config.logLevel());
    RunningConfig running = new RunningConfig(config, () -> Config.load(configFile()));
    running.add(new LogLevelPart(config.logLevel()));
    ServiceManager manager =
        ServiceManager.of(surroundings().environment(), ProcessHandle.current().pid());
    try {
      run(running, Version.text(), manager);
      return OK;
    } catch (IOException e) {
      throw new CommandFailure(problem(e), e);
    }
  }

  /** What the system says of a file does not name it, and nobody should run these as root. */
  private static String problem(IOException e) {
    if (e instanceof AccessDeniedException denied) {
      return denied.getFile()
          + ": permission denied for "
          + System.getProperty("user.name")
          + "; give it to the user and group vmferry, as the packages do";
    }
    return e instanceof FileSystemException file
        ? file.getFile() + ": " + CommandFailure.reason(e) + "; look at that file"
        : CommandFailure.reason(e);
  }

  /** The log's level follows the file. */
  private static final class LogLevelPart implements RunningConfig.Part {
    private LogLevel level;

    LogLevelPart(LogLevel level) {
      this.level = level;
    }

    @Override
    public Optional<RunningConfig.Change> prepare(Config newer) {
      LogLevel wanted = newer.logLevel();
      if (wanted == level) {
        return Optional.empty();
      }
      return Optional.of(
          new RunningConfig.Change(
              "log.level: " + wanted.name().toLowerCase(Locale.ROOT),
              () -> {
                level = wanted;
                setLevel(wanted);
              }));
    }
  }

  private static void setLevel(LogLevel level) {
    LoggerContext context = (LoggerContext) LoggerFactory.getILoggerFactory();
    context.getLogger(Logger.ROOT_LOGGER_NAME).setLevel(Level.valueOf(level.name()));
  }
}
