// SPDX-License-Identifier: Apache-2.0
package io.vmferry.cli.domain;

import static java.nio.charset.StandardCharsets.UTF_8;

import io.vmferry.cli.base.CommandFailure;
import io.vmferry.cli.base.Virsh;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileAttribute;
import java.nio.file.attribute.PosixFilePermission;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** A domain that does not run and is about to get another definition. Blocks. */
final class ShutOffDomain {
  private static final String SHUT_OFF = "shut off";

  /** The definition may hold passwords. */
  private static final FileAttribute<Set<PosixFilePermission>> OWNER_ONLY =
      PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rw-------"));

  private final Virsh virsh;
  private final String name;
  private final String definition;

  private ShutOffDomain(Virsh virsh, String name, String definition) {
    this.virsh = virsh;
    this.name = name;
    this.definition = definition;
  }

  /**
   * Finds it.
   *
   * @param domain name or UUID
   * @throws CommandFailure if it runs, or if something besides its definition refers to its disks
   */
  static ShutOffDomain find(Virsh virsh, String domain) throws CommandFailure {
    Map<String, String> info = virsh.info(domain);
    String name = info.getOrDefault("Name", domain);
    requireShutOff(virsh, name);
    if (!"yes".equals(info.get("Persistent"))) {
      throw new CommandFailure(
          "the domain "
              + name
              + " has no definition that could be changed; `virsh define` it first");
    }
    if ("yes".equals(info.get("Managed save"))) {
      throw new CommandFailure(
          "the domain "
              + name
              + " was saved while it ran, and goes on with the disks it had; start it and shut it"
              + " down, or give up what is saved: `virsh managedsave-remove "
              + name
              + "`");
    }
    requireNone("snapshot", virsh.snapshots(name), name);
    requireNone("checkpoint", virsh.checkpoints(name), name);
    return new ShutOffDomain(virsh, name, virsh.definition(name));
  }

  private static void requireNone(String kind, List<String> names, String domain)
      throws CommandFailure {
    if (!names.isEmpty()) {
      throw new CommandFailure(
          "the domain "
              + domain
              + " has the "
              + kind
              + " "
              + names.get(0)
              + ", which refers to its disks as they are; `virsh "
              + kind
              + "-delete "
              + domain
              + " "
              + names.get(0)
              + "` first");
    }
  }

  private static void requireShutOff(Virsh virsh, String name) throws CommandFailure {
    String state = virsh.state(name);
    if (!state.equals(SHUT_OFF)) {
      throw new CommandFailure(
          "the domain "
              + name
              + " is "
              + state
              + "; shut it down first: `virsh shutdown "
              + name
              + "`");
    }
  }

  /** libvirt's name. */
  String name() {
    return name;
  }

  /** Its XML, with its secrets. */
  String definition() {
    return definition;
  }

  /**
   * Gives it another definition, unless it was started meanwhile: its guest writes to the disks of
   * the old one then.
   */
  void redefine(String xml) throws CommandFailure {
    requireShutOff(virsh, name);
    define(xml);
    try {
      requireShutOff(virsh, name);
    } catch (CommandFailure e) {
      define(definition);
      throw e;
    }
  }

  private void define(String xml) throws CommandFailure {
    try {
      Path file = Files.createTempFile("vmferry", ".xml", OWNER_ONLY);
      try {
        Files.writeString(file, xml, UTF_8);
        virsh.define(name, file);
      } finally {
        Files.delete(file);
      }
    } catch (IOException e) {
      throw new CommandFailure(
          "can't write the definition of the domain "
              + name
              + " to a file for virsh: "
              + CommandFailure.reason(e),
          e);
    }
  }
}
