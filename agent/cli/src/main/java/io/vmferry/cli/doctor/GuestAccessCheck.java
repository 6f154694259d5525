// SPDX-License-Identifier: Apache-2.0
package io.vmferry.cli.doctor;

import io.vmferry.cli.base.CommandFailure;
import io.vmferry.cli.base.Processes;
import io.vmferry.cli.text.Finding;
import io.vmferry.config.Config;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Whether a guest's QEMU may open the NBD socket: file modes, AppArmor, SELinux. */
final class GuestAccessCheck {
  private static final String WHY = "no guest with vmferry disks can start or arrive here";
  private static final Pattern USER = Pattern.compile("(?m)^\\s*user\\s*=\\s*\"([^\"]+)\"");

  /** What distributions run QEMU as: Debian and its kin, RHEL and its kin. */
  private static final List<String> USUAL_USERS = List.of("libvirt-qemu", "qemu");

  private static final String ABSTRACTION = "etc/apparmor.d/abstractions/libvirt-qemu";
  private static final String INCLUDED = "libvirt-qemu.d>";

  private final Path socket;
  private final Processes processes;
  private final Path root;

  /**
   * @param root where the host's own folders are
   */
  GuestAccessCheck(Config config, Processes processes, Path root) {
    this.socket = config.paths().nbdSocket();
    this.processes = processes;
    this.root = root;
  }

  List<Finding> run() {
    List<Finding> findings = new ArrayList<>();
    if (Files.exists(socket)) { // else the relay does not run, which is a finding of its own
      findings.add(fileMode());
    }
    appArmor().ifPresent(findings::add);
    selinux().ifPresent(findings::add);
    return findings;
  }

  // ---- file modes

  private Finding fileMode() {
    String user;
    try {
      user = qemuUser();
    } catch (IOException e) {
      return unknown("which user QEMU runs as", e.getMessage());
    }
    if (user.equals("root")) {
      return Finding.ok("socket", socket + ": QEMU runs as root");
    }
    try {
      Processes.Result tried =
          processes.run(
              List.of("runuser", "-u", user, "--", "test", "-w", socket.toString()), false);
      if (tried.exit() == 0) {
        return Finding.ok("socket", socket + ": QEMU's user " + user + " may open it");
      }
      if (!tried.errors().isBlank()) {
        return unknown(
            "whether " + user + " may open " + socket,
            tried.errors().lines().findFirst().orElse(""));
      }
    } catch (IOException e) {
      return unknown("whether " + user + " may open " + socket, CommandFailure.reason(e));
    }
    return Finding.fail(
        "socket",
        "QEMU's user " + user + " may not open " + socket,
        WHY,
        "set paths.nbd-socket-group to a group of that user (id -Gn "
            + user
            + "), usermod -aG GROUP vmferry, systemctl restart vmferry-relay");
  }

  private static Finding unknown(String what, String reason) {
    return Finding.warn("socket", what + " is not known: " + reason, WHY, "run this as root");
  }

  /** As libvirt decides it: its configuration, or what it was built with. */
  private String qemuUser() throws IOException {
    String configured = read("etc/libvirt/qemu.conf").map(GuestAccessCheck::lastUser).orElse(null);
    if (configured != null) {
      return configured.matches("\\+?0") ? "root" : name(configured);
    }
    for (String user : USUAL_USERS) {
      if (processes.run(List.of("id", "-u", user), false).exit() == 0) {
        return user;
      }
    }
    throw new IOException("/etc/libvirt/qemu.conf sets no user, and there is no " + USUAL_USERS);
  }

  private static String lastUser(String conf) {
    Matcher matcher = USER.matcher(conf);
    String user = null;
    while (matcher.find()) {
      user = matcher.group(1);
    }
    return user;
  }

  /** libvirt takes numbers as well, runuser only names. */
  private String name(String user) throws IOException {
    if (!user.matches("\\+?[0-9]+")) {
      return user;
    }
    Processes.Result found = processes.run(List.of("id", "-un", user.replace("+", "")), false);
    if (found.exit() != 0) {
      throw new IOException("qemu.conf names user " + user + ", which does not exist");
    }
    return found.output().strip();
  }

  // ---- AppArmor, SELinux

  private Optional<Finding> appArmor() {
    String subject = "apparmor";
    try {
      boolean on =
          read("sys/module/apparmor/parameters/enabled").orElse("").startsWith("Y")
              && read(ABSTRACTION).isPresent();
      if (!on) {
        return Optional.empty();
      }
      Path rule = root.resolve(ABSTRACTION + ".d/vmferry");
      boolean written = read(ABSTRACTION + ".d/vmferry").orElse("").contains(socket + " rw,");
      if (!written) {
        return Optional.of(
            Finding.fail(
                subject,
                rule + " has no line for " + socket,
                WHY,
                "add the line `  " + socket + " rw,` to it; it counts for guests started then"));
      }
      boolean included =
          read(ABSTRACTION).orElse("").contains(INCLUDED)
              || read("etc/apparmor.d/local/abstractions/libvirt-qemu")
                  .orElse("")
                  .contains(INCLUDED);
      return Optional.of(
          included
              ? Finding.ok(subject, "guests may open " + socket)
              : Finding.fail(
                  subject,
                  "libvirt's profile of guests does not include " + rule,
                  WHY,
                  "echo 'include if exists <abstractions/libvirt-qemu.d>' >>"
                      + " /etc/apparmor.d/local/abstractions/libvirt-qemu"));
    } catch (IOException e) {
      return Optional.of(
          Finding.warn(
              subject,
              "its rules can't be read: " + CommandFailure.reason(e),
              WHY,
              "run this as root"));
    }
  }

  private Optional<Finding> selinux() {
    String subject = "selinux";
    String mend = "build and load the module: /usr/share/vmferry/selinux/README.md";
    try {
      if (!read("sys/fs/selinux/enforce").orElse("").startsWith("1")) {
        return Optional.empty();
      }
      Processes.Result modules = processes.run(List.of("semodule", "-l"), false);
      boolean loaded =
          modules
              .output()
              .lines()
              .anyMatch(line -> line.strip().split("\\s", 2)[0].equals("vmferry"));
      if (modules.exit() != 0) {
        return Optional.of(
            Finding.warn(
                subject, "is enforcing, and its modules are not known", WHY, "run this as root"));
      }
      return Optional.of(
          loaded
              ? Finding.ok(subject, "is enforcing, and vmferry's module is loaded")
              : Finding.fail(subject, "is enforcing without vmferry's module", WHY, mend));
    } catch (IOException e) {
      return Optional.of(
          Finding.warn(
              subject,
              "is enforcing, and its modules are not known: " + CommandFailure.reason(e),
              WHY,
              mend));
    }
  }

  /** A file of the host; empty if there is none. */
  private Optional<String> read(String path) throws IOException {
    try {
      return Optional.of(Files.readString(root.resolve(path)));
    } catch (NoSuchFileException e) {
      return Optional.empty();
    }
  }
}
