// SPDX-License-Identifier: Apache-2.0
package io.vmferry.coordinator;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;

/** Runs the script in {@code libvirt-hooks} as libvirt does. */
final class HookScript {
  static final Path PATH =
      Path.of("").toAbsolutePath().resolve("../../libvirt-hooks/vmferry").normalize();

  private static final Duration LIMIT = Duration.ofSeconds(20);

  private HookScript() {}

  record Result(int status, String out, String err) {}

  /**
   * @param searchPath the environment variable PATH
   * @param run directory of the agent's socket
   * @param work directory for the files of this call
   */
  static Result run(
      String shell, String searchPath, Path run, Path work, String xml, String... arguments)
      throws IOException, InterruptedException {
    List<String> command = new ArrayList<>(List.of(shell, PATH.toString()));
    command.addAll(List.of(arguments));
    Path in = Files.writeString(work.resolve("in"), xml);
    Path out = work.resolve("out");
    Path err = work.resolve("err");
    ProcessBuilder builder =
        new ProcessBuilder(command)
            .redirectInput(in.toFile())
            .redirectOutput(out.toFile())
            .redirectError(err.toFile());
    builder.environment().clear();
    builder.environment().put("PATH", searchPath);
    builder.environment().put("VMFERRY_RUN", run.toString());
    Process process = builder.start();
    assertThat(process.waitFor(LIMIT.toSeconds(), TimeUnit.SECONDS)).isTrue();
    return new Result(process.exitValue(), Files.readString(out), Files.readString(err));
  }
}
