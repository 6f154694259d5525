// SPDX-License-Identifier: Apache-2.0
package io.vmferry.cli.domain;

import static java.nio.charset.StandardCharsets.UTF_8;

import io.vmferry.cli.base.CommandFailure;
import io.vmferry.cli.base.Surroundings;
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

  /** For definitions on their way; what has to stay there is there after a reboot, too. */
  private static final String FOLDER = "var/tmp";

  private final Path folder;
  private final Virsh virsh;
  private final String name;
  private final String definition;

  private ShutOffDomain(Path folder, Virsh virsh, String name, String definition) {
    this.folder = folder;
    this.virsh = virsh;
    this.name = name;
    this.definition = definition;
  }

  /**
   * Finds it.
   *
   * @param uri of libvirt
   * @param domain name or UUID
   * @throws CommandFailure if it runs, or if something besides its definition refers to its disks
   */
  static ShutOffDomain find(Surroundings surroundings, String uri, String domain)
      throws CommandFailure {
    Virsh virsh = new Virsh(surroundings.processes(), uri);
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
    return new ShutOffDomain(
        surroundings.root().resolve(FOLDER), virsh, name, virsh.definition(name));
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
   * Gives it another definition, unless it was started with its old disks meanwhile: its guest
   * writes to those then. Whatever happens, the old definition is at libvirt or in a file that the
   * message names.
   *
   * @param undo deletes what only the new definition refers to; run when the domain keeps its old
   *     disks, and never when it may have the new ones
   * @throws CommandFailure if it keeps its old disks, or if nobody can say which ones it has
   */
  void redefine(DomainDocument changed, Runnable undo) throws CommandFailure {
    Path old;
    try {
      requireShutOff(virsh, name);
      old = write(definition);
    } catch (CommandFailure e) {
      undo.run();
      throw e;
    }
    define(changed, old, undo);
    if (runsWithOtherDisks(changed, old)) {
      restore(old, undo);
    }
    delete(old);
  }

  private void define(DomainDocument changed, Path old, Runnable undo) throws CommandFailure {
    CommandFailure refusal;
    try {
      Path file = write(changed.xml());
      try {
        virsh.define("libvirt does not take the new definition of the domain " + name, file);
        return;
      } finally {
        delete(file);
      }
    } catch (CommandFailure e) {
      refusal = e;
    }
    // A libvirtd that dies may have taken it.
    if (!hasOldDefinition()) {
      throw new CommandFailure(
          refusal.getMessage()
              + "; whether it has it all the same is not known, so nothing is deleted:"
              + " `virsh dumpxml --inactive "
              + name
              + "` shows what it has, and "
              + bringsBack(old),
          refusal);
    }
    undo.run();
    delete(old);
    throw new CommandFailure(
        refusal.getMessage() + "; nothing is changed: remove the cause, then try again", refusal);
  }

  private boolean hasOldDefinition() {
    try {
      return virsh.definition(name).equals(definition);
    } catch (CommandFailure e) {
      return false;
    }
  }

  /** Whether it was started in the moment before it got its new definition. */
  private boolean runsWithOtherDisks(DomainDocument changed, Path old) throws CommandFailure {
    try {
      return !virsh.state(name).equals(SHUT_OFF)
          && !DomainDocument.parse(name, virsh.xml(name)).hasDisksOf(changed);
    } catch (CommandFailure e) {
      throw new CommandFailure(
          "the domain "
              + name
              + " has its new definition, but whether it was started with its old disks a moment"
              + " before is not known: "
              + e.getMessage()
              + ". If `virsh dumpxml "
              + name
              + "` shows the old ones, shut it down; "
              + bringsBack(old),
          e);
    }
  }

  /** Always fails: with the reason why the domain keeps its old disks. */
  private void restore(Path old, Runnable undo) throws CommandFailure {
    try {
      virsh.define(
          "the domain "
              + name
              + " was started meanwhile and runs with its old disks, but libvirt has the new"
              + " definition, with which it can't be started again, and does not take the old one"
              + " back",
          old);
    } catch (CommandFailure e) {
      // What the guest writes now is not in the new disks: it must not be started from those.
      undo.run();
      throw new CommandFailure(e.getMessage() + "; " + bringsBack(old), e);
    }
    undo.run();
    delete(old);
    requireShutOff(virsh, name);
    throw new CommandFailure(
        "the domain " + name + " ran for a moment and keeps its old disks; try again");
  }

  private static String bringsBack(Path old) {
    return "`virsh define " + old + "` brings the old definition back";
  }

  private Path write(String xml) throws CommandFailure {
    try {
      Path file = Files.createTempFile(folder, "vmferry-domain", ".xml", OWNER_ONLY);
      return Files.writeString(file, xml, UTF_8);
    } catch (IOException e) {
      throw new CommandFailure(
          "can't write the definition of the domain "
              + name
              + " to a file in "
              + folder
              + ": "
              + CommandFailure.reason(e)
              + "; make room or mend its mode, then try again",
          e);
    }
  }

  private static void delete(Path file) {
    try {
      Files.deleteIfExists(file);
    } catch (IOException e) {
      // One small file too many, which only root can read.
    }
  }
}
