// SPDX-License-Identifier: Apache-2.0
package io.vmferry.cli.base;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;

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

  /**
   * The XML of a domain's definition, with its secrets: what {@link #define} takes.
   *
   * @param domain name or UUID
   */
  public String definition(String domain) throws CommandFailure {
    return run(
        "libvirt does not show the domain " + domain,
        NEXT,
        "dumpxml",
        "--inactive",
        "--security-info",
        "--domain",
        domain);
  }

  /**
   * Replaces a domain's definition.
   *
   * @param failure what it means if libvirt refuses; the reason follows
   * @param file with its XML
   */
  public void define(String failure, Path file) throws CommandFailure {
    run(failure, "", "define", "--file", file.toString());
  }

  /**
   * What libvirt knows of a domain besides its XML, such as {@code Persistent} to {@code yes}.
   *
   * @param domain name or UUID
   */
  public Map<String, String> info(String domain) throws CommandFailure {
    String failure = "what libvirt knows of the domain " + domain + " can't be read";
    Map<String, String> info = new HashMap<>();
    run(failure, NEXT, "dominfo", "--domain", domain)
        .lines()
        .map(line -> line.split(":", 2))
        .filter(pair -> pair.length == 2)
        .forEach(pair -> info.put(pair[0].strip(), pair[1].strip()));
    return info;
  }

  /** Names of a domain's snapshots. */
  public List<String> snapshots(String domain) throws CommandFailure {
    return names("snapshot", domain);
  }

  /** Names of a domain's checkpoints. */
  public List<String> checkpoints(String domain) throws CommandFailure {
    return names("checkpoint", domain);
  }

  private List<String> names(String kind, String domain) throws CommandFailure {
    return run(
            "the " + kind + "s of the domain " + domain + " are not known",
            "; `virsh " + kind + "-list " + domain + "` shows them",
            kind + "-list",
            "--name",
            "--domain",
            domain)
        .lines()
        .filter(line -> !line.isBlank())
        .toList();
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
      String reason =
          result
              .errors()
              .lines()
              .filter(line -> !line.isBlank())
              .map(line -> line.replaceFirst("^error: ", ""))
              .collect(Collectors.joining(": "));
      throw new CommandFailure(
          failure + ": " + (reason.isEmpty() ? "exit status " + result.exit() : reason) + next);
    }
    return result.output();
  }
}
