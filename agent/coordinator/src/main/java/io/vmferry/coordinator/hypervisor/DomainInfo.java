// SPDX-License-Identifier: Apache-2.0
package io.vmferry.coordinator.hypervisor;

import java.util.List;
import java.util.UUID;

/**
 * A domain that has vmferry disks.
 *
 * @param uuid libvirt's UUID
 * @param name libvirt's name
 * @param active whether it has a QEMU here
 * @param state what it does
 * @param disks its vmferry disks: the live ones if active, else those of its definition
 * @param definedVolumes volumes that its persistent definition names, empty if it is transient
 * @param owner node that its metadata names as owner of the volumes, null if none
 */
public record DomainInfo(
    UUID uuid,
    String name,
    boolean active,
    DomainState state,
    List<VmferryDisk> disks,
    List<String> definedVolumes,
    String owner) {

  public DomainInfo {
    disks = List.copyOf(disks);
    definedVolumes = List.copyOf(definedVolumes);
  }

  /** Names of the volumes behind its disks, each once. */
  public List<String> volumes() {
    return disks.stream().map(VmferryDisk::volume).distinct().toList();
  }

  /** Whether its disks or its definition name the volume. */
  public boolean uses(String volume) {
    return definedVolumes.contains(volume) || volumes().contains(volume);
  }
}
