// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.volume;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;

/** The host's processes; injected. */
public interface ProcessTable {

  /** The process with this number, if there is one. */
  Optional<LocalProcess> find(int pid);

  default boolean alive(LocalProcess process) {
    return find(process.pid()).filter(process::equals).isPresent();
  }

  /** Reads /proc, which is memory: no disk is touched. */
  static ProcessTable ofHost() {
    return pid -> {
      try {
        String stat =
            Files.readString(Path.of("/proc/" + pid + "/stat"), StandardCharsets.ISO_8859_1);
        // The command name in parentheses may hold anything, so count from the last one.
        String[] fields = stat.substring(stat.lastIndexOf(')') + 2).split(" ", -1);
        boolean zombie = fields[0].equals("Z") || fields[0].equals("X");
        return zombie
            ? Optional.empty()
            : Optional.of(new LocalProcess(pid, Long.parseLong(fields[19])));
      } catch (IOException | RuntimeException e) {
        return Optional.empty();
      }
    };
  }
}
