// SPDX-License-Identifier: Apache-2.0
package io.vmferry.coordinator.libvirt;

import org.libvirt.Connect;
import org.libvirt.Library;
import org.libvirt.LibvirtException;
import org.libvirt.jna.Libvirt;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * libvirt's event loop. There is one per process and it can't be unregistered, so it is started
 * once, on a daemon thread, and never stopped.
 */
final class LibvirtEventLoop {
  private static final Logger log = LoggerFactory.getLogger(LibvirtEventLoop.class);

  /** Keeps a loop that fails at once from taking a whole core. Milliseconds. */
  private static final long PAUSE_AFTER_FAILURE_MILLIS = 1000;

  /** Instead of libvirt's own lines on stderr; every caller reports its failure itself. */
  private static final Libvirt.VirErrorCallback QUIET =
      (data, error) -> log.debug("libvirt: {}", error.message);

  private static boolean started;

  private LibvirtEventLoop() {}

  /** Must come before the first connection is opened, or that connection gets no events. */
  static synchronized void ensureStarted() throws LibvirtException {
    if (started) {
      return;
    }
    Connect.setErrorCallback(QUIET);
    Library.initEventLoop();
    Thread thread = new Thread(LibvirtEventLoop::run, "libvirt-events");
    thread.setDaemon(true);
    thread.start();
    started = true;
  }

  private static void run() {
    while (true) {
      try {
        Library.processEvent();
      } catch (LibvirtException | RuntimeException e) {
        log.warn("libvirt's event loop failed, it goes on: {}", e.getMessage());
        try {
          Thread.sleep(PAUSE_AFTER_FAILURE_MILLIS);
        } catch (InterruptedException interrupted) {
          return;
        }
      }
    }
  }
}
