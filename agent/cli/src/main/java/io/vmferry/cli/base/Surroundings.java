// SPDX-License-Identifier: Apache-2.0
package io.vmferry.cli.base;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Clock;
import java.util.Map;

/**
 * The world around a command, so that tests can make one.
 *
 * @param environment variables
 * @param terminal whether a person sees the output on a terminal
 * @param clock for dates in certificates, and times that are shown
 * @param pause waits
 * @param processes other programs
 * @param interrupts what to undo at Ctrl-C
 * @param root where the host's own folders are, such as {@code etc} and {@code sys}
 */
public record Surroundings(
    Map<String, String> environment,
    boolean terminal,
    Clock clock,
    Pause pause,
    Processes processes,
    Interrupts interrupts,
    Path root) {

  /** Waits between two looks at something. */
  @FunctionalInterface
  public interface Pause {
    /**
     * Blocks for a while.
     *
     * @throws InterruptedException if the command is to end
     */
    void millis(long millis) throws InterruptedException;
  }

  /** Takes note of work that must be undone if the command is killed by a signal. */
  @FunctionalInterface
  public interface Interrupts {
    /** Runs the action at a signal, unless the registration was ended before. */
    Registration undo(Runnable action);

    /** Ended when there is nothing to undo any more. */
    @FunctionalInterface
    interface Registration {
      void end();
    }
  }

  /** The real one. */
  public static Surroundings real() {
    return new Surroundings(
        System.getenv(),
        onTerminal(),
        Clock.systemUTC(),
        Thread::sleep,
        new SystemProcesses(),
        Surroundings::atShutdown,
        Path.of("/"));
  }

  /** Whether lines may be overwritten: a terminal, and not one that says it can't. */
  public boolean canRedraw() {
    String type = environment.getOrDefault("TERM", "dumb");
    return terminal && !type.equals("dumb");
  }

  /** Asks the kernel what standard output is: the JDK's answers differ from release to release. */
  private static boolean onTerminal() {
    try {
      String target = Files.readSymbolicLink(Path.of("/proc/self/fd/1")).toString();
      return target.startsWith("/dev/pts/") || target.startsWith("/dev/tty");
    } catch (IOException e) {
      return false;
    }
  }

  private static Interrupts.Registration atShutdown(Runnable action) {
    Thread hook = new Thread(action, "undo");
    Runtime.getRuntime().addShutdownHook(hook);
    return () -> {
      try {
        Runtime.getRuntime().removeShutdownHook(hook);
      } catch (IllegalStateException e) {
        // The signal has come: the action runs already.
      }
    };
  }
}
