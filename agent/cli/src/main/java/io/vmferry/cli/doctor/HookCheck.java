// SPDX-License-Identifier: Apache-2.0
package io.vmferry.cli.doctor;

import io.vmferry.cli.base.CommandFailure;
import io.vmferry.cli.base.Processes;
import io.vmferry.cli.text.Finding;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * Whether libvirt calls the hook: it is there, may be executed, and libvirtd has looked for hooks
 * since. libvirtd notes at its start and at a reload whether there is any, and never looks again.
 */
final class HookCheck {
  private static final String SUBJECT = "hook";
  private static final String WHY = "a guest would arrive before its volumes: the migration fails";

  /** One of them serves QEMU's domains: the one for all, or the newer one of its own. */
  private static final List<String> DAEMONS = List.of("libvirtd.service", "virtqemud.service");

  private final Processes processes;
  private final Path hook;

  /**
   * @param hook where libvirt looks for the hook script
   */
  HookCheck(Processes processes, Path hook) {
    this.processes = processes;
    this.hook = hook;
  }

  Finding run() {
    if (!Files.exists(hook)) {
      return Finding.fail(
          SUBJECT,
          hook + " does not exist",
          WHY,
          "reinstall the package, then: systemctl reload libvirtd");
    }
    if (!Files.isExecutable(hook)) {
      return Finding.fail(
          SUBJECT,
          hook + " is not executable",
          WHY,
          "chmod 755 " + hook + " && systemctl reload libvirtd");
    }
    try {
      return seen();
    } catch (IOException e) {
      return Finding.warn(
          SUBJECT,
          hook
              + " is there; whether libvirtd has seen it is not known: "
              + CommandFailure.reason(e),
          WHY,
          "if it was installed after libvirtd was started: pkill -HUP -x libvirtd");
    }
  }

  private Finding seen() throws IOException {
    Instant changed =
        ((FileTime) Files.getAttribute(hook, "unix:ctime"))
            .toInstant()
            .truncatedTo(ChronoUnit.SECONDS);
    for (Map<String, String> daemon : daemons()) {
      String looked = daemon.getOrDefault("StateChangeTimestamp", "");
      // One that does not run looks when it is started.
      if (!daemon.getOrDefault("ActiveState", "").equals("active") || !looked.startsWith("@")) {
        continue;
      }
      if (Instant.ofEpochSecond(Long.parseLong(looked.substring(1))).isBefore(changed)) {
        String id = daemon.getOrDefault("Id", DAEMONS.get(0));
        return Finding.warn(
            SUBJECT,
            hook + " was changed after " + id + " last looked for hooks",
            WHY,
            "systemctl reload " + id);
      }
    }
    return Finding.ok(SUBJECT, hook + ", and libvirtd has looked since");
  }

  /** What systemd knows of the daemons; a change of state is a start, a reload or a stop. */
  private List<Map<String, String>> daemons() throws IOException {
    List<String> command =
        List.of(
            "systemctl",
            "show",
            "--timestamp=unix",
            "--property=Id,ActiveState,StateChangeTimestamp",
            DAEMONS.get(0),
            DAEMONS.get(1));
    Processes.Result result = processes.run(command, false);
    if (result.exit() != 0) {
      throw new IOException(
          result.errors().lines().findFirst().orElse("systemctl show ended with an error"));
    }
    return List.of(result.output().split("\\n\\n", -1)).stream()
        .map(HookCheck::properties)
        .toList();
  }

  private static Map<String, String> properties(String block) {
    Map<String, String> properties = new HashMap<>();
    block
        .lines()
        .map(line -> line.split("=", 2))
        .filter(pair -> pair.length == 2)
        .forEach(pair -> properties.put(pair[0], pair[1]));
    return properties;
  }
}
