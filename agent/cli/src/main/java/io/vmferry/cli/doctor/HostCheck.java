// SPDX-License-Identifier: Apache-2.0
package io.vmferry.cli.doctor;

import io.vmferry.api.RelayStatus;
import io.vmferry.cli.base.CommandFailure;
import io.vmferry.cli.base.Processes;
import io.vmferry.cli.text.Finding;
import io.vmferry.config.ByteSize;
import io.vmferry.config.Config;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;

/** What the host must have besides vmferry and libvirt: space, qemu-img. */
final class HostCheck {
  /** Bytes. Below this a single guest can fill the disk between two looks at it. */
  private static final long LEAST_FREE = 1L << 30;

  private final Config config;
  private final Processes processes;

  HostCheck(Config config, Processes processes) {
    this.config = config;
    this.processes = processes;
  }

  /**
   * Compares the free space with what the volumes may still grow to.
   *
   * @param relay what the relay says, if it answers
   */
  Finding space(Optional<RelayStatus> relay) {
    Path state = config.paths().state();
    long free;
    try {
      free = Files.getFileStore(state).getUsableSpace();
    } catch (IOException e) {
      return Finding.fail(
          "space",
          state + " can't be looked at: " + CommandFailure.reason(e),
          "volumes are kept there",
          "install -d -m 700 -o vmferry -g vmferry " + state + ", or set paths.state");
    }
    long growth =
        relay.map(RelayStatus::volumes).orElse(List.of()).stream()
            .mapToLong(volume -> Math.max(0, volume.size() - volume.allocated()))
            .sum();
    String text = new ByteSize(free).approximate() + " free in " + state;
    String why = "when the disk is full, guests are paused at their next write";
    if (free < LEAST_FREE) {
      return Finding.fail("space", text, why, "make room, or set paths.state");
    }
    if (free < growth) {
      return Finding.warn(
          "space",
          text + ", but the volumes may grow by " + new ByteSize(growth).approximate(),
          why,
          "make room, or delete replicas that are complete elsewhere: vmferry status");
    }
    return Finding.ok("space", text);
  }

  Finding qemuImg() {
    try {
      Processes.Result result = processes.run(List.of("qemu-img", "--version"), false);
      if (result.exit() == 0) {
        return Finding.ok("qemu-img", result.output().lines().findFirst().orElse("is there"));
      }
    } catch (IOException e) {
      // The same to the user as one that fails.
    }
    return Finding.warn(
        "qemu-img",
        "does not start",
        "images can't be imported or exported",
        "apt install qemu-utils (Debian), dnf install qemu-img (RHEL)");
  }
}
