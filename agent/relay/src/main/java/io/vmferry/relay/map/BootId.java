// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.map;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.UUID;

/** The identity that the kernel gives each boot: tells whether a file in tmpfs is of this boot. */
public final class BootId {

  private static final Path SOURCE = Path.of("/proc/sys/kernel/random/boot_id");

  private BootId() {}

  /** Reads the identity of the running boot. */
  public static UUID current() throws IOException {
    return UUID.fromString(Files.readString(SOURCE).strip());
  }
}
