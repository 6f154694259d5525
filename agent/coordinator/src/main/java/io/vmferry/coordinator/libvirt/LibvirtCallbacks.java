// SPDX-License-Identifier: Apache-2.0
package io.vmferry.coordinator.libvirt;

import io.vmferry.coordinator.hypervisor.DomainEvent;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import java.util.UUID;
import java.util.function.Consumer;
import org.libvirt.jna.DomainPointer;
import org.libvirt.jna.Libvirt;
import org.libvirt.jna.Libvirt.VirDomainEventCallback;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The callbacks that libvirt calls from its event loop.
 *
 * <p>JNA frees a callback's native stub when the Java object is collected, and libvirt would then
 * call into freed memory. So there is one set for the life of the hypervisor, used for every
 * connection, and held in final fields.
 */
final class LibvirtCallbacks {
  private static final Logger log = LoggerFactory.getLogger(LibvirtCallbacks.class);

  /** {@code VIR_UUID_STRING_BUFLEN}: 36 characters and NUL. */
  private static final int UUID_STRING_BYTES = 37;

  private final Consumer<DomainEvent> listener;

  private final LibvirtNative.LifecycleCallback lifecycle =
      (connection, domain, event, detail, opaque) -> {
        deliver(domain, LibvirtCodes.lifecycle(event, detail), 0);
        return 0;
      };
  private final LibvirtNative.IoErrorCallback ioError =
      (connection, domain, path, alias, action, opaque) ->
          deliver(domain, DomainEvent.Kind.IO_ERROR, 0);
  private final LibvirtNative.MigrationIterationCallback migrationIteration =
      (connection, domain, iteration, opaque) ->
          deliver(domain, DomainEvent.Kind.MIGRATION_ITERATION, iteration);
  private final LibvirtNative.JobCompletedCallback jobCompleted =
      (connection, domain, params, count, opaque) ->
          deliver(domain, DomainEvent.Kind.JOB_COMPLETED, 0);

  /**
   * @param listener called on libvirt's event loop; must return at once
   */
  LibvirtCallbacks(Consumer<DomainEvent> listener) {
    this.listener = listener;
  }

  /** Event ID to callback. */
  Map<Integer, VirDomainEventCallback> byEventId() {
    return Map.of(
        LibvirtCodes.EVENT_ID_LIFECYCLE, lifecycle,
        LibvirtCodes.EVENT_ID_IO_ERROR, ioError,
        LibvirtCodes.EVENT_ID_MIGRATION_ITERATION, migrationIteration,
        LibvirtCodes.EVENT_ID_JOB_COMPLETED, jobCompleted);
  }

  /** The domain pointer is valid during the call only; neither getter asks the daemon. */
  private void deliver(DomainPointer domain, DomainEvent.Kind kind, int number) {
    try {
      byte[] uuid = new byte[UUID_STRING_BYTES];
      if (Libvirt.INSTANCE.virDomainGetUUIDString(domain, uuid) != 0) {
        log.warn("an event {} names no domain; it is ignored", kind);
        return;
      }
      String text = new String(uuid, 0, UUID_STRING_BYTES - 1, StandardCharsets.US_ASCII);
      String name = Libvirt.INSTANCE.virDomainGetName(domain);
      listener.accept(new DomainEvent(UUID.fromString(text), name, kind, number));
    } catch (RuntimeException e) {
      // Nothing may be thrown into C code.
      log.warn("an event {} was lost; the next reconciliation makes up for it", kind, e);
    }
  }
}
