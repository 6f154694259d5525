// SPDX-License-Identifier: Apache-2.0
package io.vmferry.coordinator.libvirt;

import com.sun.jna.Native;
import com.sun.jna.Pointer;
import com.sun.jna.ptr.IntByReference;
import io.vmferry.coordinator.hypervisor.DomainState;
import io.vmferry.coordinator.hypervisor.HypervisorException;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.UUID;
import org.libvirt.Connect;
import org.libvirt.Error;
import org.libvirt.LibvirtException;
import org.libvirt.jna.DomainPointer;
import org.libvirt.jna.Libvirt;
import org.libvirt.jna.Libvirt.VirDomainEventCallback;
import org.libvirt.jna.virError;

/** A connection with what libvirt-java lacks. All calls block; safe for any thread. */
final class LibvirtConnection extends Connect {
  private final List<Integer> registrations = new ArrayList<>();

  LibvirtConnection(String uri) throws LibvirtException {
    super(uri);
  }

  /** Registers the callbacks for all domains; the caller keeps them referenced. */
  void register(Map<Integer, VirDomainEventCallback> callbacks) {
    callbacks.forEach(
        (eventId, callback) ->
            registrations.add(
                check(
                    Libvirt.INSTANCE.virConnectDomainEventRegisterAny(
                        vcp, null, eventId, callback, null, null),
                    "register for events")));
  }

  /** Undoes {@link #register}; otherwise libvirt would keep the connection alive after close. */
  void deregister() {
    registrations.forEach(id -> Libvirt.INSTANCE.virConnectDomainEventDeregisterAny(vcp, id));
    registrations.clear();
  }

  /** State and reason, without waiting for jobs on the domain. */
  DomainState state(UUID domain, boolean active) {
    DomainPointer pointer = lookup(domain);
    try {
      IntByReference state = new IntByReference();
      IntByReference reason = new IntByReference();
      check(
          LibvirtNative.INSTANCE.virDomainGetState(pointer, state, reason, 0),
          "read the domain's state");
      return LibvirtCodes.state(state.getValue(), reason.getValue(), active);
    } finally {
      Libvirt.INSTANCE.virDomainFree(pointer);
    }
  }

  /**
   * Targets of disks with an I/O error. Asks QEMU, so it can wait for a job on the domain.
   *
   * @param disks how many disks the domain may have
   */
  Set<String> diskErrors(UUID domain, int disks) {
    DomainPointer pointer = lookup(domain);
    try {
      LibvirtNative.DiskError[] errors =
          (LibvirtNative.DiskError[]) new LibvirtNative.DiskError().toArray(disks);
      int count =
          check(
              LibvirtNative.INSTANCE.virDomainGetDiskErrors(pointer, errors, disks, 0),
              "read the domain's disk errors");
      Set<String> targets = new HashSet<>();
      for (int i = 0; i < count; i++) {
        Pointer disk = errors[i].disk;
        targets.add(disk.getString(0));
        Native.free(Pointer.nativeValue(disk));
      }
      return targets;
    } finally {
      Libvirt.INSTANCE.virDomainFree(pointer);
    }
  }

  private DomainPointer lookup(UUID domain) {
    DomainPointer pointer = Libvirt.INSTANCE.virDomainLookupByUUIDString(vcp, domain.toString());
    if (pointer == null) {
      throw failure("find the domain");
    }
    return pointer;
  }

  private static int check(int result, String what) {
    if (result < 0) {
      throw failure(what);
    }
    return result;
  }

  private static HypervisorException failure(String what) {
    virError error = Libvirt.INSTANCE.virGetLastError();
    String reason = error == null ? "no reason given" : new Error(error).getMessage();
    return new HypervisorException("libvirt can't " + what + ": " + reason);
  }
}
