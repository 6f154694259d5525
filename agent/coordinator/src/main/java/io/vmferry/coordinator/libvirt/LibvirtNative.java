// SPDX-License-Identifier: Apache-2.0
package io.vmferry.coordinator.libvirt;

import com.sun.jna.Library;
import com.sun.jna.Native;
import com.sun.jna.Pointer;
import com.sun.jna.Structure;
import com.sun.jna.ptr.IntByReference;
import org.libvirt.jna.ConnectionPointer;
import org.libvirt.jna.DomainPointer;
import org.libvirt.jna.Libvirt.VirDomainEventCallback;

/** Functions and callbacks of libvirt that libvirt-java lacks. Names are libvirt's. */
interface LibvirtNative extends Library {
  LibvirtNative INSTANCE = Native.load("virt", LibvirtNative.class);

  int virDomainGetState(
      DomainPointer domain, IntByReference state, IntByReference reason, int flags);

  int virDomainGetDiskErrors(DomainPointer domain, DiskError[] errors, int maxErrors, int flags);

  /** {@code virDomainDiskError}; the string belongs to the caller. */
  @Structure.FieldOrder({"disk", "error"})
  class DiskError extends Structure {
    public Pointer disk;
    public int error;
  }

  /** {@code virConnectDomainEventCallback}: lifecycle. */
  interface LifecycleCallback extends VirDomainEventCallback {
    int invoke(
        ConnectionPointer connection, DomainPointer domain, int event, int detail, Pointer opaque);
  }

  /** {@code virConnectDomainEventIOErrorCallback}. */
  interface IoErrorCallback extends VirDomainEventCallback {
    void invoke(
        ConnectionPointer connection,
        DomainPointer domain,
        Pointer path,
        Pointer alias,
        int action,
        Pointer opaque);
  }

  /** {@code virConnectDomainEventMigrationIterationCallback}. */
  interface MigrationIterationCallback extends VirDomainEventCallback {
    void invoke(ConnectionPointer connection, DomainPointer domain, int iteration, Pointer opaque);
  }

  /** {@code virConnectDomainEventJobCompletedCallback}. */
  interface JobCompletedCallback extends VirDomainEventCallback {
    void invoke(
        ConnectionPointer connection,
        DomainPointer domain,
        Pointer params,
        int count,
        Pointer opaque);
  }
}
