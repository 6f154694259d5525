// SPDX-License-Identifier: Apache-2.0
package io.vmferry.cli.base;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;

/** libvirt, asked as its operators ask it. Blocks. */
public final class Virsh {
  private static final String DAEMON = "Running against daemon:";
  private static final String NEXT = "; `virsh list --all` shows what is here";

  private final Processes processes;
  private final String uri;

  /**
   * @param uri of libvirt
   */
  public Virsh(Processes processes, String uri) {
    this.processes = processes;
    this.uri = uri;
  }

  /**
   * The XML of a domain: of the running one if it runs, else of its definition.
   *
   * @param domain name, UUID or number
   */
  public String xml(String domain) throws CommandFailure {
    return run("libvirt does not show the domain " + domain, NEXT, "dumpxml", "--domain", domain);
  }

  /** What a domain does, in virsh's words, such as {@code running}. */
  public String state(String domain) throws CommandFailure {
    return run(
            "what the domain " + domain + " does is not known",
            NEXT,
            "domstate",
            "--domain",
            domain)
        .strip();
  }

  /** Version of libvirt's daemon, such as {@code 9.0.0}. */
  public String daemonVersion() throws CommandFailure {
    String failure = "libvirt's version is not known";
    return run(failure, "; `virsh version --daemon` shows it", "version", "--daemon")
        .lines()
        .filter(line -> line.startsWith(DAEMON))
        .map(line -> line.substring(DAEMON.length()).strip())
        .findFirst()
        .orElseThrow(() -> new CommandFailure(failure + ": virsh did not say it"));
  }

  private String run(String failure, String next, String... arguments) throws CommandFailure {
    List<String> command =
        new ArrayList<>(List.of("env", "LC_ALL=C", "virsh", "--quiet", "--connect", uri));
    command.addAll(List.of(arguments));
    Processes.Result result;
    try {
      result = processes.run(command, false);
    } catch (IOException e) {
      throw new CommandFailure(failure + ": " + CommandFailure.reason(e) + next, e);
    }
    if (result.exit() == 127) { // of env: no such program
      throw new CommandFailure(
          failure
              + ": virsh is not installed; apt install libvirt-clients (Debian),"
              + " dnf install libvirt-client (RHEL)");
    }
    if (result.exit() != 0) {
      String reason = result.errors().lines().findFirst().orElse("exit status " + result.exit());
      throw new CommandFailure(failure + ": " + reason.replaceFirst("^error: ", "") + next);
    }
    return result.output();
  }
}
